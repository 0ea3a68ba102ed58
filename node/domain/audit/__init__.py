"""Records of the audit trail."""
