"""The guides of the repository: their commands, and a site on which tests run them."""
