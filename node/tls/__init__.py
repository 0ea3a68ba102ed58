"""TLS: certificates and keys in files, their renewal, and why a connection fails."""
