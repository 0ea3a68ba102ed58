"""`segnode store`: the files on the disk against the index."""

from collections import Counter
from datetime import UTC, datetime

import typer

from node.cli.jobs import open_store
from node.cli.options import ConfigOption
from node.maintenance.verify import Verification

app = typer.Typer(no_args_is_help=True, help="The files on the disk, against the index.")


@app.command()
def verify(config: ConfigOption = None) -> None:
    """Compare the bytes of every received image with the index; changes nothing.

    Ends with status 1 where something is wrong.

    Example: segnode store verify --config /etc/segnode/segnode.toml
    """
    with open_store(config) as store:
        faults: Counter[str] = Counter()
        for finding in Verification(store).findings():
            faults[finding.fault] += 1
            typer.echo(f"{finding.fault}: {finding.path}")
        count = store.count_instances()
    _tell(count, faults)
    raise typer.Exit(1 if faults else 0)


@app.command()
def repair(config: ConfigOption = None) -> None:
    """Index whole images that the index does not know, and put damaged ones aside.

    An image that is missing or was put aside is taken again when it is sent again.

    Example: segnode store repair --config /etc/segnode/segnode.toml
    """
    with open_store(config) as store:
        verification = Verification(store)
        faults: Counter[str] = Counter()
        for finding in verification.findings():
            faults[finding.fault] += 1
            done = verification.repair(finding, datetime.now(UTC))
            typer.echo(f"{finding.fault}: {finding.path}: {done}")
        count = store.count_instances()
    _tell(count, faults)


def _tell(count: int, faults: Counter[str]) -> None:
    told = ", ".join(f"{number} {fault}" for fault, number in sorted(faults.items()))
    typer.echo(f"{count} images in the index: {told or 'all are as they came in'}.")
