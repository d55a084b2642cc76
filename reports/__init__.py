"""Run records as tables, one page and figures, beside published results. Needs no torch."""
