"""Network architectures of model packages, and networks trained elsewhere."""
