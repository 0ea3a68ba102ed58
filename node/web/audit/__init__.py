"""What requests leave in the audit trail."""
