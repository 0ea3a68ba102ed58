"""Reports a study: a page with plots, and the best configuration as a file to train with."""

import base64
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import optuna
from jinja2 import Environment, PackageLoader, StrictUndefined
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.study import Study
from optuna.trial import TrialState
from optuna.visualization import matplotlib as plots

from models.errors import ModelsError

_MIN_TRIALS_FOR_IMPORTANCE = 4


def write_report(study: Study, out: Path) -> Path:
    """Writes `report.html` and the best configuration, `best.json`; returns the page's path.

    Raises:
        ModelsError: no trial is complete yet.
    """
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        raise ModelsError("no trial is complete yet")
    best = study.best_trial
    out.mkdir(parents=True, exist_ok=True)
    (out / "best.json").write_text(json.dumps(best.user_attrs["config"], indent=1) + "\n", "utf-8")
    environment = Environment(
        loader=PackageLoader("models.tuning"), autoescape=True, undefined=StrictUndefined
    )
    page = out / "report.html"
    text = environment.get_template("report.html").render(
        study=study.study_name,
        best=best,
        trials=study.get_trials(deepcopy=False),
        plots=_plots(study),
    )
    page.write_text(text, "utf-8")
    return page


def _plots(study: Study) -> list[tuple[str, str]]:
    """Returns titles and pictures as data URIs."""
    mpl.use("Agg")
    drawn: list[tuple[str, Callable[..., Any], dict[str, Any]]] = [
        ("Score by trial", plots.plot_optimization_history, {}),
        ("Scores while training", plots.plot_intermediate_values, {}),
        ("Score by setting", plots.plot_slice, {}),
    ]
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(complete) >= _MIN_TRIALS_FOR_IMPORTANCE:
        importance = {"evaluator": PedAnovaImportanceEvaluator()}
        drawn.append(("Which setting matters", plots.plot_param_importances, importance))
    with warnings.catch_warnings():
        # Optuna's matplotlib plots are experimental, and use what matplotlib deprecates.
        warnings.simplefilter("ignore")
        return [(title, _inline(plot(study, **options))) for title, plot, options in drawn]


def _inline(axes: Any) -> str:  # one Axes or an array of them
    first = axes if hasattr(axes, "figure") else axes.flat[0]
    stream = io.BytesIO()
    first.figure.savefig(stream, format="png", bbox_inches="tight")
    mpl.pyplot.close(first.figure)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def silence_optuna() -> None:
    """Limits Optuna's log to warnings and errors."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
