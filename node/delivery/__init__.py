"""The ways of a result to the people who look at it: C-STORE, STOW-RS, a folder."""
