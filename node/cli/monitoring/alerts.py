"""`segnode alerts`: lists alerts and tests the channels that send them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption
from node.domain.errors import Misconfigured, Transient

if TYPE_CHECKING:
    from node.domain.monitoring.alert import Alert

app = typer.Typer(no_args_is_help=True, help="Alerts by webhook and e-mail.")


@app.command("list")
def list_alerts(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of alerts.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the latest alerts, newest first, and the messages that could not be sent yet.

    Example: segnode alerts list --limit 5
    """
    import json

    with open_store(config) as store:
        alerts, failed = store.latest_alerts(limit), store.failed_messages()
    if as_json:
        found = {
            "alerts": [asdict(alert) for alert in alerts],
            "failed_messages": [asdict(message) for message in failed],
        }
        typer.echo(json.dumps(found, default=str, indent=2))
        return
    for alert in alerts:
        typer.echo(_line(alert))
    for message in failed:
        typer.echo(
            f"Not sent yet: {message.phase} of {message.alert.kind} by {message.channel}, "
            f"{message.attempts} attempts: {message.last_error}"
        )
    if not alerts:
        typer.echo("There have been no alerts.")


def _line(alert: "Alert") -> str:
    end = "not over" if alert.ended_at is None else f"over since {alert.ended_at:%Y-%m-%d %H:%M}"
    return f"{alert.started_at:%Y-%m-%d %H:%M} UTC, {end}: {' '.join(alert.text.split())}"


@app.command("test")
def test_alerts(config: ConfigOption = None) -> None:
    """Send a test message through every channel that the configuration names.

    Example: segnode alerts test --config /etc/segnode/segnode.toml
    """
    from node.alerts.channel import channels_from
    from node.alerts.message import content_of_test, site_name
    from node.configuration.active import active_settings

    settings = active_settings(config)
    channels = channels_from(settings)
    if not channels:
        raise Misconfigured(
            "names no channel: add [alerts.webhook] or [alerts.mail]",
            file=settings.file,
            key="alerts",
        )
    content = content_of_test(site_name(settings), datetime.now(UTC))
    failed = []
    for name, channel in channels.items():
        try:
            channel.send(content)
        except Transient as error:
            failed.append(name)
            typer.echo(f"{name}: {error}", err=True)
        else:
            typer.echo(f"{name}: the server took the test message.")
    if failed:
        raise Transient(f"the test message was not sent by {' and '.join(failed)}")
