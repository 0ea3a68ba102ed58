"""The configuration of a site: its revisions, and how processes switch to another one."""
