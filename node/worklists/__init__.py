"""Worklists: the node performs work items of UPS-RS servers (IHE AI Workflow for Imaging)."""
