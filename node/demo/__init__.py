"""Everything that the demonstration needs and a hospital does not."""
