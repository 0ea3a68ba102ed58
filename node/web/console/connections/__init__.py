"""Pages of senders, destinations, sources and rejected connections."""
