"""Evaluation of models at a site: shadow runs of candidates, and segmentations by people."""
