"""The progress bar of commands that take long."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def progress_bar(*columns: "str | ProgressColumn") -> "Progress":
    """Returns a bar on standard error that disappears at the end; a file or a pipe gets none."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
