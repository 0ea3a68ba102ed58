"""The inference of a worker whose early runs end when a test says so."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from node.jobs.inference import Infer, InferenceRequest, InferenceResult, OtherResults
from tests.support.processes.empty_result import empty_result
from tests.support.waiting import until

WAIT_S = 60.0


@dataclass
class EarlyModel:
    """Runs jobs by `run`, and early runs itself: these have results without content."""

    run: Infer
    has_idle: bool = True
    # Early runs wait for it; a stop file ends them, and so does a job while it may.
    may_finish: threading.Event = field(default_factory=threading.Event)
    is_needed: bool = False  # by a job
    may_end: Callable[[], bool] = lambda: True  # of the latest early run
    requests: list[InferenceRequest] = field(default_factory=list)  # of each early run
    threads: set[threading.Thread] = field(default_factory=set)  # of the early runs
    on_early_run: list[Callable[[InferenceRequest], InferenceResult | None]] = field(
        default_factory=list
    )

    def infer(
        self, request: InferenceRequest, other_results: OtherResults | None = None
    ) -> InferenceResult:
        """Runs a job."""
        return self.run(request, other_results)

    def infer_if_idle(
        self, request: InferenceRequest, may_end: Callable[[], bool]
    ) -> InferenceResult | None:
        """Waits for the test; returns None where the run is stopped."""
        self.may_end = may_end
        self.requests.append(request)
        self.threads.add(threading.current_thread())

        def is_stopped() -> bool:
            stopped = request.stop_file is not None and request.stop_file.exists()
            return stopped or (self.is_needed and may_end())

        until(lambda: self.may_finish.is_set() or is_stopped(), WAIT_S, "the test", poll_s=0.002)
        if is_stopped():
            return None
        return self.on_early_run.pop(0)(request) if self.on_early_run else empty_result(request)
