"""Learning across captures, and the synthetic captures to learn from."""
