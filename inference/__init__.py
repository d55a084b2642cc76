"""What is done with a finished run: predict own pictures, look inside, export, try it on a page."""
