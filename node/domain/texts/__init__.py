"""Texts that readers of results and messages see."""
