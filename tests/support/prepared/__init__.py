"""Programs of the node that are forked from a process which has imported them already."""
