"""Commands about the health of the site."""
