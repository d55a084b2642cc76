"""Users' own images: read from any usual layout into one table, which is shown before training."""
