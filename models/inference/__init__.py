"""Runs a model package on a CT volume: preprocessing, the network, postprocessing."""
