"""The audit trail: append-only records in hash chains, and their verification."""
