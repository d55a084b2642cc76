"""Safe file access: atomic writes, verified downloads, and readers of checkpoints that run no code of the file."""
