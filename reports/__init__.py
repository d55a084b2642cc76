"""Reports of run records: tables, an HTML page and figures, beside published results. They need no torch."""
