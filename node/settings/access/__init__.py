"""The settings of who may use the node."""
