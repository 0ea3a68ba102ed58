"""The HTTP server: its ports, HTTPS, TLS handshakes."""
