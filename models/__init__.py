"""Segmentation models: arrays with geometry in, masks with geometry out; no PACS here."""
