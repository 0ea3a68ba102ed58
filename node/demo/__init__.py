"""The demonstration: a complete node on this machine that processes one CT."""
