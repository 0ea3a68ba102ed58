"""Tests of segnode: see the README's section on development for the folders."""
