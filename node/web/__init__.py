"""The node's face: console, REST triggers, health, and DICOMweb. Never imports PyTorch."""
