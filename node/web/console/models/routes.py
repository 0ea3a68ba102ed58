"""Pages of the installed models, of their shadow runs, and of segmentations by people."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from node.domain.errors import Misconfigured
from node.evaluation.installed_models import agreements, card_of, installed_models
from node.web.console.rendering import page
from node.web.dependencies import SiteSettings, SiteStore

ROUTER = APIRouter(include_in_schema=False)
_MAX_RUNS = 50  # of each candidate; REST and the command line list all
_MAX_FEEDBACK = 200


@ROUTER.get("/models")
def models_page(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """Shows the installed models and the agreement of candidates."""
    error, models = "", []
    try:
        models = [(each, card_of(each.spec)) for each in installed_models(settings, store)]
    except Misconfigured as problem:
        error = str(problem)
    context = {"models": models, "error": error, "agreements": agreements(store)}
    return page(request, settings, "models.html", max_runs=_MAX_RUNS, **context)


@ROUTER.get("/feedback")
def feedback_page(request: Request, settings: SiteSettings, store: SiteStore) -> Response:
    """Shows the segmentations that people stored, and how the node's results compare."""
    found = store.feedback(limit=_MAX_FEEDBACK)
    return page(request, settings, "feedback.html", feedback=found, max_feedback=_MAX_FEEDBACK)
