"""Self-contained HTML pages: one file, no network, nothing from a report's text ever runs."""
