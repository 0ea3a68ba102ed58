"""REST routes of the installed models and of the agreement of their shadow runs."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from starlette.exceptions import HTTPException

from node.evaluation.installed_models import (
    Agreement,
    InstalledModel,
    agreements,
    card_of,
    installed_models,
)
from node.web.dependencies import SiteSettings, SiteStore

ROUTER = APIRouter(prefix="/api/models")


@ROUTER.get("")
def list_models(settings: SiteSettings, store: SiteStore) -> list[dict[str, Any]]:
    """Returns every installed version of every model."""
    return [_model(model) for model in installed_models(settings, store)]


@ROUTER.get("/agreement")
def list_agreements(store: SiteStore) -> list[dict[str, Any]]:
    """Returns the agreement of each candidate with the active model, per series and overall."""
    return [_agreement(each) for each in agreements(store)]


@ROUTER.get("/{name}")
def get_model(name: str, settings: SiteSettings, store: SiteStore) -> dict[str, Any]:
    """Returns one model with its card; the name may include the version, as in `liver-ct@0.3.0`."""
    for model in installed_models(settings, store):
        if name in (model.spec.model_id, model.spec.reference):
            return _model(model) | asdict(card_of(model.spec))
    raise HTTPException(404, f"there is no model {name}; GET /api/models lists them")


def _model(model: InstalledModel) -> dict[str, Any]:
    spec = model.spec
    return {
        "model_id": spec.model_id,
        "version": spec.version,
        "name": spec.reference,
        "title": spec.title,
        "manufacturer": spec.manufacturer,
        "intended_use": spec.intended_use,
        "organs": [label.name for label in spec.labels],
        "network": spec.network.kind,
        "spacing_mm": list(spec.spacing_mm),
        "min_slices": spec.min_slices,
        "min_extent_mm": spec.min_extent_mm,
        "weights_sha256": spec.weights_sha256,
        "rules": list(model.rules),
        "shadow_rules": list(model.shadow_rules),
        "job_count": model.job_count,
        "last_result_at": model.last_result_at,
        "last_run_s": model.last_run_s,
    }


def _agreement(each: Agreement) -> dict[str, Any]:
    runs = [
        {name: value for name, value in asdict(run).items() if name != "result_path"}
        for run in each.runs
    ]
    return {
        "active": each.active,
        "candidate": each.candidate,
        "counts": each.counts,
        "organs": [asdict(organ) for organ in each.organs],
        "active_s": each.active_s,
        "candidate_s": each.candidate_s,
        "runs": runs,
    }
