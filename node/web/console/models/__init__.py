"""Pages of the installed models and of segmentations by people."""
