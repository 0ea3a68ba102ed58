"""Peers that cannot connect to the node, and peers that the node cannot reach."""
