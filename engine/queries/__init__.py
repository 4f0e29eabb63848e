"""Live queries on features: where else is this?"""
