"""The installed models as people see them: card, use by rules, last run, and agreement."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.installed_packages import InstalledPackages, installed
from models.manifest import InvalidPackage, ModelSpec
from node.domain.errors import Misconfigured
from node.domain.evaluation.organ_agreement import AgreementSummary, summarise
from node.domain.evaluation.shadow_run import ShadowRun, ShadowState
from node.settings import Settings
from node.store import Store

_CARD, _LICENCES = "MODEL_CARD.md", ("LICENSE", "LICENCE", "LICENSE.txt", "LICENSE.md")
# Sections of a card: `models.packaging` writes the first; the second is optional.
_METRICS = re.compile(r"^## How it was tested$", re.MULTILINE)
_LICENCE = re.compile(r"^## Licen[cs]e$", re.MULTILINE)
# Enough for weeks of shadow runs; older ones do not count.
_MAX_RUNS = 5000


@dataclass(frozen=True)
class ModelCard:
    """The model card of a package, and two sections of it; each is empty if it is missing.

    `licence` is that section, or the licence file of the package.
    """

    text: str
    metrics: str
    licence: str


@dataclass(frozen=True)
class InstalledModel:
    """An installed package, the rules that use it, and its jobs.

    `rules` run it; `shadow_rules` name it as their candidate. `last_run_s` is the time of its
    latest result, without waiting and delivery.
    """

    spec: ModelSpec
    rules: tuple[str, ...]
    shadow_rules: tuple[str, ...]
    job_count: int
    last_result_at: datetime | None
    last_run_s: float | None


@dataclass(frozen=True)
class Agreement:
    """The agreement of a candidate with the active model over all series that both segmented.

    `active_s` and `candidate_s` are mean run times; None before the first comparison.
    """

    active: str
    candidate: str
    counts: dict[ShadowState, int]
    organs: tuple[AgreementSummary, ...]
    active_s: float | None
    candidate_s: float | None
    runs: tuple[ShadowRun, ...]  # newest first


def installed_packages(settings: Settings) -> InstalledPackages:
    """Returns the installed packages.

    Raises:
        Misconfigured: a package is invalid.
    """
    try:
        return installed(settings.catalogues)
    except InvalidPackage as error:
        raise Misconfigured(str(error)) from error


def installed_models(settings: Settings, store: Store) -> tuple[InstalledModel, ...]:
    """Returns every installed version of every model.

    Raises:
        Misconfigured: a package is invalid.
        Transient: the database does not answer.
    """
    packages = installed_packages(settings)
    return tuple(_installed_model(spec, packages, settings, store) for spec in packages.values())


def card_of(spec: ModelSpec) -> ModelCard:
    """Returns the model card of a package."""
    folder = spec.weights.parent
    text = _text(folder / _CARD)
    licence = _section(text, _LICENCE)
    for name in _LICENCES:
        licence = licence or _text(folder / name)
    return ModelCard(text, _section(text, _METRICS), licence)


def _section(card: str, heading: re.Pattern[str]) -> str:
    found = heading.search(card)
    return "" if found is None else card[found.end() :].partition("\n## ")[0].strip()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def agreements(store: Store) -> tuple[Agreement, ...]:
    """Returns the agreement of each candidate with each active model, by their names."""
    runs: dict[tuple[str, str], list[ShadowRun]] = defaultdict(list)
    for run in store.shadow_runs(limit=_MAX_RUNS):
        runs[run.active, run.candidate].append(run)
    return tuple(
        _agreement(active, candidate, found) for (active, candidate), found in sorted(runs.items())
    )


def _agreement(active: str, candidate: str, runs: Sequence[ShadowRun]) -> Agreement:
    compared = [run for run in runs if run.state is ShadowState.COMPARED]
    return Agreement(
        active=active,
        candidate=candidate,
        counts={state: sum(run.state is state for run in runs) for state in ShadowState},
        organs=summarise(organ for run in compared for organ in run.organs),
        active_s=_mean([run.active_s for run in compared]),
        candidate_s=_mean([run.candidate_s for run in compared]),
        runs=tuple(runs),
    )


def _installed_model(
    spec: ModelSpec, packages: InstalledPackages, settings: Settings, store: Store
) -> InstalledModel:
    use = store.model_use(spec.model_id, spec.version)
    stages = {k: s for k, s in use.last_timings_s.items() if k not in ("waited", "deliver")}
    return InstalledModel(
        spec=spec,
        rules=tuple(r.name for r in settings.rules if packages.get(r.model) == spec),
        shadow_rules=tuple(
            r.name for r in settings.rules if r.shadow and packages.get(r.shadow) == spec
        ),
        job_count=use.job_count,
        last_result_at=use.last_result_at,
        last_run_s=sum(stages.values()) if stages else None,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
