"""Running a trained model over reports."""
