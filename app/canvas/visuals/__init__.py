"""One class per thing drawn; each owns its GL objects and takes plain arrays."""
