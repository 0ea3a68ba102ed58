"""Inference processes: loading the models and running them apart from the worker."""
