"""Commands about who may use the node."""
