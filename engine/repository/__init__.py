"""A repository of scenes, each condensed to its decorated keypoints, to be searched by photos and by words."""
