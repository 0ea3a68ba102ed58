"""Exit statuses by which a process tells its supervisor whether to start it again."""

# The configuration of the process is wrong: a restart does not help.
MISCONFIGURED_STATUS = 2
# The supervisor starts the process again, with another configuration.
RESTART_STATUS = 75
