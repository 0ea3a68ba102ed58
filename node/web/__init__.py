"""The web process: console, REST API, health and DICOMweb. Never imports PyTorch."""
