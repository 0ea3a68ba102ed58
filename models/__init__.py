"""Segmentation models: arrays with geometry in, masks with geometry out. Knows nothing of PACS."""
