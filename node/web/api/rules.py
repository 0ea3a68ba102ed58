"""REST route of rules: the dry run of a changed configuration."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from node.domain.errors import Misconfigured, Rejected, RejectionReason
from node.evaluation.dry_run import DryRun, dry_run, summary
from node.web.dependencies import Configuration, Now, SiteSettings

ROUTER = APIRouter(prefix="/api/rules", tags=["rules"])
_MAX_TEXT = 1 << 20


class DryRunRequest(BaseModel):
    """A configuration with changed rules, as TOML, and the period to compare in days."""

    text: Annotated[str, Field(max_length=_MAX_TEXT)]
    days: Annotated[float, Field(gt=0, le=3650)] = 7.0


class ChangedRule(BaseModel):
    """A rule that would decide differently on a series; `kind` is starts, stops or target."""

    rule: str
    kind: str
    text: str
    deciding_conditions: list[str]


class ChangedSeries(BaseModel):
    """A series that would be decided differently; `rules` would match it."""

    series_instance_uid: str
    rules: list[str]
    changes: list[ChangedRule]


class DryRunResult(BaseModel):
    """The result of a dry run."""

    examined: int
    without_images: int
    left_out: int
    text: str
    changed: list[ChangedSeries]


@ROUTER.post("/dry-run")
def try_rules(
    body: DryRunRequest, configuration: Configuration, settings: SiteSettings, now: Now
) -> DryRunResult:
    """Returns the received series that the rules of the text would decide differently, and why.

    Nothing changes. A text with mistakes is answered with 400 and every mistake.
    """
    try:
        proposed = configuration.check(body.text)
    except Misconfigured as error:
        raise Rejected(RejectionReason.INVALID_REQUEST, str(error)) from error
    result = dry_run(configuration.store, settings.rules, proposed.rules, now, days=body.days)
    return _response(result)


def _response(result: DryRun) -> DryRunResult:
    changed = [
        ChangedSeries(
            series_instance_uid=each.series.series_instance_uid,
            rules=list(each.rules),
            changes=[
                ChangedRule(
                    rule=change.rule,
                    kind=change.kind.value,
                    text=change.text,
                    deciding_conditions=[verdict.condition for verdict in change.deciding],
                )
                for change in each.changes
            ],
        )
        for each in result.changed
    ]
    return DryRunResult(
        examined=result.examined,
        without_images=result.without_images,
        left_out=result.left_out,
        text=summary(result),
        changed=changed,
    )
