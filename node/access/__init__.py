"""Logins: who sends a request to the console, the REST API or DICOMweb."""
