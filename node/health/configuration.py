"""Problems of processes that cannot use the active revision of the configuration."""

from collections.abc import Sequence

from node.domain.monitoring.problem import Problem, ProblemKind, Urgency, sentence_end
from node.store.configuration.processes import ConfiguredProcess


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
