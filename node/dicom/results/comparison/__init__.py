"""Comparison of a result with the stored results of other models on the same images."""
