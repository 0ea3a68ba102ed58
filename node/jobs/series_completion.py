"""Decides complete series by the routing rules and creates their jobs; safe to repeat."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from node.domain.error_classification import Defect, attempt
from node.domain.errors import Rejected, Transient
from node.domain.job import Job, JobState, Priority, job_id
from node.domain.series import (
    SeriesPart,
    SeriesState,
    StoredInstance,
    StoredSeries,
    series_digest,
)
from node.jobs.job_completion import JobCompletion
from node.jobs.quiet_time import Hinted, QuietTimes, WaitingSeries, next_due_s, no_hints
from node.jobs.shadows import feedback_of, is_segmentation, shadow_runs_of
from node.jobs.stored_facts import facts_of, sender
from node.routing.rule_matching import Decision, decide, without_images
from node.routing.rules import Rule, models_to_split
from node.store import Store

_LOG = structlog.get_logger()
# A series whose decision failed with a defect is retried after this time; others are not delayed.
_DELAY_AFTER_DEFECT_S = 60.0


@dataclass
class SeriesCompletion:
    """Decides each series once it is complete, and creates its jobs.

    A series is complete when no image has arrived for the quiet time, and none is known to be
    missing: an image that was refused, or one that a source has still to send. A person can start
    it as it is.

    `quiet_seconds` applies to series that no rule matches; `installed_version` maps a model's name,
    as rules write it, to the version of its installed package. Rules for the same version use the
    same name.
    """

    store: Store
    rules: Sequence[Rule]
    quiet_seconds: float
    installed_version: Callable[[str], str]
    now: Callable[[], datetime]
    clock: Callable[[], float] = time.monotonic
    # When the work on a job has begun, if it has begun early: the job is as old as its result.
    began_at: Callable[[str], datetime | None] = lambda _job_id: None
    hinted: Hinted = no_hints
    _retry_at: dict[str, float] = field(default_factory=dict)
    _has_open_series: bool = True
    _waiting: list[WaitingSeries] = field(default_factory=list)
    # By series: its number of images at a decision that came too early, and the quiet time of the
    # rules that match it. Its images are not read again before that time is over.
    _required: dict[str, tuple[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._quiet_times = QuietTimes(self.clock, self.hinted)

    def is_idle(self) -> bool:
        """Whether no series was incomplete at the last poll."""
        return not self._has_open_series

    @property
    def waiting(self) -> Sequence[WaitingSeries]:
        """The undecided series after the last poll, of which no image is known to be missing."""
        return self._waiting

    def due_in_s(self) -> float | None:
        """Returns the seconds from the last poll to the next end of a quiet time, or None."""
        return next_due_s((each.quiet_s, each.min_quiet_s) for each in self._waiting)

    def poll(self) -> None:
        """Decides every series that is complete now."""
        open_series = self._open_series()
        self._has_open_series = bool(open_series)
        incomplete = self.store.incomplete_series() if open_series else {}
        quiet_s = self._quiet_times.update(open_series, self.now())
        self._required = {uid: self._required[uid] for uid in quiet_s if uid in self._required}
        self._waiting = [
            WaitingSeries(series, quiet_s[series.series_instance_uid], self._min_quiet_s(series))
            for series in open_series
            if series.series_instance_uid not in incomplete
        ]
        error = None
        for series in open_series:
            uid = series.series_instance_uid
            if self._retry_at.get(uid, 0.0) > self.clock():
                continue
            if uid in incomplete and not series.start_requested:
                continue
            failure = attempt(partial(self._decide_if_complete, series, quiet_s[uid]))
            if isinstance(failure, Defect):
                self._retry_at[uid] = self.clock() + _DELAY_AFTER_DEFECT_S
                JobCompletion(self.store, self.now).record_defect(uid, failure)
            elif failure is not None:
                # The cause may be this series' files alone: continue with the other series.
                error = failure
        if error is not None:
            raise error

    def _open_series(self) -> list[StoredSeries]:
        """Returns the series that receive images.

        While the database does not answer, images are refused, and nobody can record which. Their
        senders get the quiet time to send them again.
        """
        try:
            return self.store.open_series()
        except Transient:
            self._quiet_times.restart()
            raise

    def _decide_if_complete(self, series: StoredSeries, quiet_s: float) -> None:
        if quiet_s < self._min_quiet_s(series) and not series.start_requested:
            return
        instances = self.store.instances_of(series.series_instance_uid)
        decision = (
            without_images(self.rules)
            if is_segmentation(instances)
            else self._decision(series, instances)
        )
        matching = [rule for rule in self.rules if rule.name in decision.rules]
        required_s = max((rule.quiet_seconds for rule in matching), default=self.quiet_seconds)
        if quiet_s >= required_s or series.start_requested:
            self._record(series, instances, decision, matching)
        else:
            self._required[series.series_instance_uid] = series.instance_count, required_s

    def _min_quiet_s(self, series: StoredSeries) -> float:
        """Returns the quiet time before which no rule can decide the series."""
        count, required_s = self._required.get(series.series_instance_uid, (0, 0.0))
        if count == series.instance_count:
            return required_s
        return min([self.quiet_seconds, *(rule.quiet_seconds for rule in self.rules)])

    def _decision(self, series: StoredSeries, instances: Sequence[StoredInstance]) -> Decision:
        return decide(self.rules, facts_of(self.store, series, instances))

    def expected_jobs(self, series: StoredSeries, instances: Sequence[StoredInstance]) -> list[Job]:
        """Returns the jobs that the series would get if it were complete now.

        None where the rules divide the series, which needs its headers. Nothing is stored.

        Raises:
            Transient: the images cannot be read for now.
        """
        if is_segmentation(instances):
            return []
        names = self._decision(series, instances).rules
        matching = [rule for rule in self.rules if rule.name in names]
        if models_to_split(matching):
            return []
        return self._jobs(series, instances, matching, (), self.now())

    def _jobs(
        self,
        series: StoredSeries,
        instances: Sequence[StoredInstance],
        matching: Sequence[Rule],
        parts: Sequence[SeriesPart],
        now: datetime,
    ) -> list[Job]:
        """Returns the jobs of each model that the matching rules name.

        There is one for each of the `parts` if the rules choose so, else one for the series.
        """
        jobs, split = [], models_to_split(matching)
        for model in dict.fromkeys(rule.model for rule in matching):
            rules = [rule for rule in matching if rule.model == model]
            whole = self._job(series, instances, rules, now)
            own_parts = parts if model in split else ()
            jobs += [self._job_of(whole, part) for part in own_parts] or [whole]
        return jobs

    def _job(
        self,
        series: StoredSeries,
        instances: Sequence[StoredInstance],
        rules: Sequence[Rule],
        now: datetime,
    ) -> Job:
        """Returns the job of rules for one version of a model."""
        model_id, version = rules[0].model_id, self.installed_version(rules[0].model)
        digest = series_digest(instance.sop_instance_uid for instance in instances)
        name = job_id(digest, model_id, version)
        return Job(
            job_id=name,
            series_instance_uid=series.series_instance_uid,
            study_instance_uid=series.study_instance_uid,
            series_digest=digest,
            instance_count=len(instances),
            rule=", ".join(rule.name for rule in rules),
            model_id=model_id,
            model_version=version,
            destinations=tuple(dict.fromkeys(d for rule in rules for d in rule.destinations)),
            state=JobState.QUEUED,
            reason="",
            replaces=self.store.previous_result(
                name, series.series_instance_uid, model_id, rules=[rule.name for rule in rules]
            ),
            timings_s={},
            measurements={},
            result_path=None,
            picture_path=None,
            created_at=self.began_at(name) or now,
            updated_at=now,
            priority=min((rule.priority for rule in rules), key=list(Priority).index),
            source=sender(series),
            rules=tuple(rule.name for rule in rules),
        )

    def _job_of(self, whole: Job, part: SeriesPart) -> Job:
        """Returns the job of one part of the series."""
        name = job_id(whole.series_digest, whole.model_id, whole.model_version, part)
        return replace(
            whole,
            job_id=name,
            instance_count=part.instance_count,
            part=part,
            replaces=self.store.previous_result(
                name, whole.series_instance_uid, whole.model_id, part, whole.rules
            ),
        )

    def _parts(
        self, series: StoredSeries, instances: Sequence[StoredInstance]
    ) -> tuple[SeriesPart, ...]:
        """Returns the parts of the series, read from its headers; none if it is not divided.

        Raises:
            Transient: the images cannot be read for now.
        """

        def read() -> tuple[SeriesPart, ...]:
            # Imported here: only a rule with `acquisitions = "each"` makes the worker read CT.
            from node.dicom.ct.reader import parts_of_series

            with self.store.files.local_copies([i.path for i in instances]) as files:
                return parts_of_series(files)

        found = attempt(read)
        match found:
            case Transient():
                raise found
            case Rejected():
                return ()
            case Defect():
                # The job of the whole series shows the error, if it has the same one.
                uid = series.series_instance_uid
                JobCompletion(self.store, self.now).record_defect(uid, found)
                return ()
        return found

    def _record(
        self,
        series: StoredSeries,
        instances: Sequence[StoredInstance],
        decision: Decision,
        matching: Sequence[Rule],
    ) -> None:
        """Stores the decision, with the jobs for each model of a matching rule.

        They deliver to the destinations of all matching rules for their model.
        """
        state = SeriesState.ACCEPTED if decision.rules else SeriesState.IGNORED
        uid, count = series.series_instance_uid, len(instances)
        parts = self._parts(series, instances) if models_to_split(matching) else ()
        # One time for the decision and its jobs, so that the history has them in this order.
        now = self.now()
        jobs = self._jobs(series, instances, matching, parts, now)
        decision = replace(decision, parts=tuple(part.title for part in parts))
        # Before the decision: a worker that dies between them repeats both.
        self.store.add_shadow_runs(shadow_runs_of(jobs, matching, now))
        self.store.add_feedback(feedback_of(series, instances, now))
        recorded = self.store.record_decision(
            uid, decision.to_json(), state, now, seen_count=count, jobs=jobs
        )
        if recorded is None:
            return
        self._waiting = [w for w in self.waiting if w.series.series_instance_uid != uid]
        _LOG.info(
            "series.decided", series=uid, instances=count, state=state.value, parts=len(parts)
        )
        for job in recorded.new_jobs:
            _LOG.info(
                "job.queued",
                job=job.job_id,
                series=uid,
                instances=job.instance_count,
                part="" if job.part is None else job.part.title,
                model=f"{job.model_id} {job.model_version}",
                replaces_earlier=job.replaces is not None,
            )
