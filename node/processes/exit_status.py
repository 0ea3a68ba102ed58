"""Exit statuses of a process, by which its supervisor decides whether to start it again."""

# The configuration of the process is wrong: a restart does not help.
MISCONFIGURED_STATUS = 2
# The supervisor starts the process again, with another configuration.
RESTART_STATUS = 75
