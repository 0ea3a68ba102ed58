"""Commands about peers, destinations and sources."""
