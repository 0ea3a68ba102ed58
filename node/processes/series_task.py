"""The task that decides series: it also runs when a quiet time ends, and wakes that of jobs."""

from dataclasses import dataclass

from node.jobs.early.early_start import EarlyStart
from node.jobs.series_completion import SeriesCompletion
from node.runtime.timers import Timers

SERIES_TASK, JOBS_TASK = "series", "jobs"
# Timers and quiet times use different clocks.
_CLOCK_MARGIN_SECONDS = 0.01


@dataclass(frozen=True)
class FindSeries:
    """Decides series, without waiting for the next of the runs that are `poll_s` apart.

    `early_start` is None where nothing starts early. The tasks are those of `timers`.
    """

    completion: SeriesCompletion
    early_start: EarlyStart | None
    timers: Timers
    poll_s: float

    def __call__(self) -> None:
        """Decides the series that are complete now, and makes the jobs of such series start."""
        decision = self.completion if self.early_start is None else self.early_start
        decision.poll()
        if not self.completion.is_idle():
            self.timers.run_soon(JOBS_TASK)
        due_in_s = decision.due_in_s()
        if due_in_s is not None and due_in_s < self.poll_s:
            self.timers.run_after(SERIES_TASK, due_in_s + _CLOCK_MARGIN_SECONDS)
