"""Tables of shadow runs and feedback; use of models."""
