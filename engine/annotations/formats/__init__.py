"""Annotations to and from the files of other tools. Each module says what its format cannot hold."""
