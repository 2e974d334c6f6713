"""Training: sessions, data, and the loops behind `fit`, `evaluate` and `predict`."""
