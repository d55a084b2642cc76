"""Run records as tables, one page and figures, beside published figures. Needs no torch."""
