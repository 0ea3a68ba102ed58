"""Storage commitment (PS3.4 J.3), as requester and as provider."""
