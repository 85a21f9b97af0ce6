"""Scores and reports on held-out documents."""
