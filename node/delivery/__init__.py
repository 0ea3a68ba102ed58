"""Delivery of results to destinations: C-STORE, STOW-RS, or a folder."""
