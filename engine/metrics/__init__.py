"""Measures of quality that the command line prints."""
