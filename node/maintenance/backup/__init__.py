"""Backups of a site, and their restoration."""
