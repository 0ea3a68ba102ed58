"""The DIMSE protocol: associations to remote application entities (PS3.7, PS3.8)."""
