"""Labelled data sets as they are published, each in a module of its own."""
