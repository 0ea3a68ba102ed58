"""Pages of login, set-up, the own account and users."""
