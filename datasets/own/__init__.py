"""Images of the user's own: read from any usual layout into one table, and shown before anything is trained."""
