"""DICOM over TLS: certificates of the node, connections, and why one fails."""
