"""Audit messages after PS3.15 A.5, made from the records of the audit trail."""
