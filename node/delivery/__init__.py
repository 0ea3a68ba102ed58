"""Delivery of results to destinations: C-STORE, STOW-RS, a folder, or an information system."""
