"""Problems of a configuration that is not used: a revision or a file."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from node.domain.errors import Misconfigured
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.domain.texts.sentences import sentence_end
from node.settings import Settings, load_settings
from node.store.configuration.processes import ConfiguredProcess


def file_problems(settings: Settings) -> list[Problem]:
    """Returns a problem if the file with the configuration of this host has mistakes now."""
    file = settings.file
    if settings.config != "file" or file is None:
        return []
    try:
        changed_at = file.stat().st_mtime_ns
    except OSError:
        changed_at = 0
    mistakes = _mistakes_in(file, changed_at)
    if not mistakes:
        return []
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return [
        Problem(
            kind=ProblemKind.CONFIGURATION_NOT_USED,
            subject=str(file),
            urgency=Urgency.WARNING,
            text=f"The configuration file has mistakes: {sentence_end(mistakes[0] + more)}",
            remedy=(
                "The node keeps the earlier configuration, but does not start with this file: "
                "correct it, check it with segnode check, and run segnode reload."
            ),
            link="/configuration",
        )
    ]


@lru_cache(maxsize=1)
def _mistakes_in(file: Path, _changed_at: int) -> tuple[str, ...]:
    try:
        load_settings(file)
    except Misconfigured as error:
        return tuple(str(each) for each in error.mistakes)
    return ()


def configuration_problems(processes: Sequence[ConfiguredProcess]) -> list[Problem]:
    """Returns a problem for each process that runs an earlier revision than the active one."""
    return [
        Problem(
            kind=ProblemKind.CONFIGURATION_NOT_USED,
            subject=process.name,
            urgency=Urgency.WARNING,
            text=(
                f"{process.name} still runs revision {process.number} of the configuration: "
                f"{sentence_end(' '.join(process.problem.split()))}"
            ),
            remedy=(
                "Correct it on that host, such as a model that it lacks, or change the "
                "configuration. The node tries again within a minute."
            ),
            since=process.since,
            link="/configuration",
        )
        for process in processes
        if process.problem
    ]
