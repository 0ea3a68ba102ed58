"""`segnode store`: verifies the stored files against the index and repairs them."""

from collections import Counter
from datetime import UTC, datetime

import typer

from node.cli.jobs import open_store
from node.cli.options import ConfigOption

app = typer.Typer(no_args_is_help=True, help="Verify and repair the stored files.")


@app.command()
def verify(config: ConfigOption = None) -> None:
    """Compare every stored image with the index, byte by byte; changes nothing.

    The exit status is 1 if a fault is found.

    Example: segnode store verify --config /etc/segnode/segnode.toml
    """
    from node.maintenance.verify import Verification

    with open_store(config) as store:
        faults: Counter[str] = Counter()
        for finding in Verification(store).findings():
            faults[finding.fault] += 1
            typer.echo(f"{finding.fault}: {finding.path}")
        count = store.count_instances()
    _print_totals(count, faults)
    raise typer.Exit(1 if faults else 0)


@app.command()
def repair(config: ConfigOption = None) -> None:
    """Add intact files that are not indexed to the index, and move damaged files aside.

    The node accepts an image again that is missing or was moved aside.

    Example: segnode store repair --config /etc/segnode/segnode.toml
    """
    from node.maintenance.verify import Verification

    with open_store(config) as store:
        verification = Verification(store)
        faults: Counter[str] = Counter()
        for finding in verification.findings():
            faults[finding.fault] += 1
            action = verification.repair(finding, datetime.now(UTC))
            typer.echo(f"{finding.fault}: {finding.path}: {action}")
        count = store.count_instances()
    _print_totals(count, faults)


def _print_totals(count: int, faults: Counter[str]) -> None:
    summary = ", ".join(f"{number} {fault}" for fault, number in sorted(faults.items()))
    typer.echo(f"{count} images in the index: {summary or 'no faults'}.")
