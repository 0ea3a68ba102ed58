"""Renders an evaluation as one self-contained HTML page."""

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from models.evaluation.case_images import DISAGREEMENT_RGB, TRUTH_RGB
from models.evaluation.evaluate import METRICS, CaseScores, Evaluation

_MAX_PICTURES = 12
_TITLES = {
    "dice": "Dice",
    "surface_dice": "Surface Dice",
    "hd95_mm": "HD95, mm",
    "volume_error": "Volume error",
    "accuracy": "Voxel accuracy",
}


def render_report(evaluation: Evaluation, worst: int = _MAX_PICTURES) -> str:
    """Renders the page, with pictures of the `worst` cases, the worst first."""
    environment = Environment(
        loader=PackageLoader("models.evaluation"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["score"] = format_score
    ranked = sorted(evaluation.cases, key=lambda case: case.dice)
    return environment.get_template("report.html").render(
        evaluation=evaluation,
        summary=evaluation.summary(),
        cases=ranked,
        pictures=[(c, _inline(c)) for c in ranked[:worst] if c.picture_png],
        titles=_TITLES,
        metrics=METRICS,
        truth_rgb=TRUTH_RGB,
        disagreement_rgb=DISAGREEMENT_RGB,
    )


def format_score(value: float | None, metric: str) -> str:
    """Formats a score for people; None becomes "not measured"."""
    if value is None:
        return "not measured"
    match metric:
        case "hd95_mm":
            return f"{value:.1f}"
        case "volume_error":
            return f"{value:+.1%}"
        case "accuracy":
            return f"{value:.4f}"
        case _:
            return f"{value:.3f}"


def _inline(case: CaseScores) -> str:
    return "data:image/png;base64," + base64.b64encode(case.picture_png).decode("ascii")
