"""The 3D encoder put to work on labelled data of a user's own: a head on its features, and how well it does."""
