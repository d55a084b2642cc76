"""Training steps: the plain one and those that are faster, each with the same result."""
