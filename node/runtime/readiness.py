"""How a process tells the supervisor that started it that it does its work now."""

import os

# Names the descriptor of the pipe to the supervisor; absent where nobody waits.
READY_VARIABLE = "READY_FD"


def notify_ready() -> None:
    """Tell whoever started this process that it is ready; only the first call tells."""
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if descriptor:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
