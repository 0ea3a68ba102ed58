"""Probes of connections: whether a peer, a destination or a source answers, and if not, why."""
