"""Commands about the audit trail."""
