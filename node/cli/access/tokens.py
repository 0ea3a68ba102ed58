"""`segnode tokens`: by which programs identify themselves to REST API and DICOMweb."""

import json
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import now, operator
from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption
from node.domain.access.permissions import Permission

if TYPE_CHECKING:
    from node.domain.access.tokens import ApiToken

app = typer.Typer(no_args_is_help=True, help="Tokens of programs for REST API and DICOMweb.")

_MAX_DAYS = 3650

NameArgument = Annotated[str, typer.Argument(help="Name of the token, such as orthanc.")]


@app.command("list")
def list_tokens(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens: what they may do, until when they are valid, when they were last used.

    Example: segnode tokens list --json
    """
    with open_store(config) as store:
        tokens = store.list_api_tokens()
    if as_json:
        found = [asdict(token) | {"permissions": sorted(token.permissions)} for token in tokens]
        typer.echo(json.dumps(found, default=str, indent=2))
        return
    for token in tokens:
        typer.echo(_line(token, now()))
    if not tokens:
        typer.echo("There are no tokens. Create one: segnode tokens create NAME --may view")


@app.command()
def create(
    name: NameArgument,
    may: Annotated[
        list[Permission], typer.Option("--may", "-m", help="What the program may do (repeatable).")
    ],
    days: Annotated[
        int, typer.Option(min=1, max=_MAX_DAYS, help="For how many days the token is valid.")
    ] = 365,
    config: ConfigOption = None,
) -> None:
    """Create a token and print it, once.

    Example: segnode tokens create orthanc --may send --days 730
    """
    from node.access.api_tokens import TokenKeeper
    from node.configuration.active import active_settings

    max_days = active_settings(config).access.token_max_days
    with open_store(config) as store:
        keeper = TokenKeeper(store, operator(), max_days)
        typer.echo(keeper.create(name, frozenset(may), timedelta(days=days), now()))
    typer.echo("Keep it in a file that only the program reads: it is not shown again.", err=True)


@app.command()
def revoke(name: NameArgument, config: ConfigOption = None) -> None:
    """Revoke a token; every host refuses it from then on.

    Example: segnode tokens revoke orthanc
    """
    from node.access.api_tokens import TokenKeeper

    with open_store(config) as store:
        TokenKeeper(store, operator(), _MAX_DAYS).revoke(name, now())
    typer.echo(f"The token {name} is revoked.")


def _line(token: "ApiToken", now: datetime) -> str:
    state = "expired" if now >= token.expires_at else "is valid until"
    last = "never used"
    if token.last_used_at is not None:
        last = f"last used {token.last_used_at:%Y-%m-%d %H:%M} UTC from {token.last_used_from}"
    may = ", ".join(sorted(token.permissions))
    return f"{token.name:<24} may {may}; {state} {token.expires_at:%Y-%m-%d}; {last}"
