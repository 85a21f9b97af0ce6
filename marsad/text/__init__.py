"""From the raw report to words and windows: normalisation with offsets, segmentation."""
