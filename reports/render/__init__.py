"""Reports as HTML, text, LaTeX and figures."""
