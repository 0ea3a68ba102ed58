"""Users, sessions, failed logins and one-time codes."""
