"""Files that cannot hurt: atomic writes, verified downloads, checkpoint reading that runs no code from the
file."""
