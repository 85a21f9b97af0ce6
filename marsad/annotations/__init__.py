"""Reading, writing and aligning annotated reports."""
