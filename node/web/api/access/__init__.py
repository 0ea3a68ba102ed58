"""REST routes about who uses the node, for administrators."""
