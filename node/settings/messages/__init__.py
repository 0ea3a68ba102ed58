"""Messages for an administrator: what is not valid TOML, and remarks on valid settings."""
