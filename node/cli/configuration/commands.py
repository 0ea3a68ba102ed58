"""`segnode config`: revisions of the configuration in the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.configuration.certificates import (
    FilesElsewhereOption,
    refuse_unusable_certificates,
)
from node.cli.configuration.imported_file import confirm_identity, report_left_out
from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption, operating_system_user, stated_reason
from node.domain.errors import Transient
from node.domain.texts.sentences import sentence

if TYPE_CHECKING:
    from node.configuration.site_configuration import SiteConfiguration
    from node.store.configuration.revisions import Revision

app = typer.Typer(no_args_is_help=True, help="Revisions of the configuration in the database.")

NumberArgument = Annotated[int, typer.Argument(min=1, help="Number of a revision.")]
OptionalNumber = Annotated[
    int | None, typer.Argument(min=1, help="Number of a revision; default: the active one.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", "-r", help="Why, for the history.", callback=stated_reason)
]
AuthorOption = Annotated[
    str | None, typer.Option(help="Who makes the change; default: your user name.")
]
BaseOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="The revision that the text changes; default: the one that an exported file names, "
        "otherwise the active one.",
    ),
]
FileArgument = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="TOML file.")]


@app.command("list")
def list_revisions(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of revisions.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the revisions, newest first, with author, time and reason.

    Example: segnode config list --limit 5
    """
    import json

    with _configuration(config) as site:
        revisions = site.store.list_revisions(limit)
        active = site.store.active_revision_number()
    if as_json:
        listed = [asdict(each) | {"is_active": each.number == active} for each in revisions]
        typer.echo(json.dumps(listed, default=str, indent=2))
        return
    for revision in revisions:
        typer.echo(f"{'*' if revision.number == active else ' '} {_line(revision)}")
    if not revisions:
        typer.echo("There are no revisions: the first start imports the file.")


@app.command()
def show(number: OptionalNumber = None, config: ConfigOption = None) -> None:
    """Show a revision: author, time, reason and text.

    Example: segnode config show 7
    """
    with _configuration(config) as site:
        revision = _revision(site, number)
    typer.echo(f"# {_line(revision)}\n{revision.text}", nl=False)


@app.command()
def diff(
    number: OptionalNumber = None,
    to: Annotated[int | None, typer.Argument(min=1, help="Another revision.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show what a revision changed, or the difference between two revisions.

    Example: segnode config diff 3 7
    """
    with _configuration(config) as site:
        if to is not None and number is not None:
            text = site.difference(number, to)
        else:
            revision = _revision(site, number)
            text = site.difference(revision.parent, revision.number)
    typer.echo(text or "The texts are the same.")


@app.command("set")
def set_configuration(
    file: FileArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    author: AuthorOption = None,
    base: BaseOption = None,
    files_elsewhere: FilesElsewhereOption = False,
) -> None:
    """Make the text of a file the active revision; mistakes are reported, and change nothing.

    Certificate files that `segnode check` refuses are mistakes, too. If `config export` wrote the
    file, nobody may have changed the configuration since.

    Example: segnode config set new.toml --reason "second scanner"
    """
    from node.configuration.exported_revision import divided

    with _configuration(config) as site:
        text, exported = divided(_text_of(file))
        if not files_elsewhere:
            refuse_unusable_certificates(site, text, str(file))
        _activate(site, text, file, author, reason, base or exported)


@app.command("import")
def import_configuration(
    file: FileArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    author: AuthorOption = None,
    base: BaseOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, even if the node is known otherwise.")
    ] = False,
    files_elsewhere: FilesElsewhereOption = False,
) -> None:
    """Make a whole configuration file the active revision, without what belongs to each host.

    Asks before the node gets another AE title, address, port or name.

    Example: segnode config import /etc/segnode/segnode.toml --reason "from the test system"
    """
    from node.configuration.exported_revision import divided
    from node.configuration.site_configuration import file_text

    with _configuration(config) as site:
        text = file_text(file)
        report_left_out(file)
        if not yes:
            confirm_identity(site, text, file)
        text, _ = divided(text)  # it may name a revision of another site
        if not files_elsewhere:
            refuse_unusable_certificates(site, text, str(file))
        _activate(site, text, file, author, reason, base)


@app.command()
def export(
    number: OptionalNumber = None,
    config: ConfigOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")
    ] = None,
) -> None:
    """Write the text of a revision as TOML; its first line names the revision.

    If another revision becomes active in between, `config set` with this file is refused.

    Example: segnode config export 7 --output segnode-7.toml
    """
    from node.configuration.exported_revision import with_revision

    with _configuration(config) as site:
        revision = _revision(site, number)
    text = with_revision(revision.text, revision.number)
    if output is None or str(output) == "-":
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@app.command()
def rollback(
    number: NumberArgument,
    reason: ReasonOption,
    config: ConfigOption = None,
    author: AuthorOption = None,
    files_elsewhere: FilesElsewhereOption = False,
) -> None:
    """Make the text of an earlier revision active again, as a new revision.

    Example: segnode config rollback 6 --reason "the new rule matched too much"
    """
    from node.configuration.site_configuration import NothingChanged

    with _configuration(config) as site:
        base = site.store.active_revision_number()
        if not files_elsewhere:
            name = f"revision {number}"
            refuse_unusable_certificates(site, site.revision(number).text, name)
        try:
            revision = site.roll_back(
                number, author or operating_system_user(), reason, base, _now()
            )
        except NothingChanged as unchanged:
            typer.echo(sentence(str(unchanged)))
        else:
            typer.echo(_activated(revision))


@app.command("redact")
def remove_secrets(config: ConfigOption = None, author: AuthorOption = None) -> None:
    """Remove passwords and webhook addresses from the texts of all revisions.

    Earlier versions let a revision hold them. The active revision must name files instead.
    Backups and free space in the database may still hold them: change the secrets as well.

    Example: segnode config redact
    """
    with _configuration(config) as site:
        numbers = site.remove_secrets(author or operating_system_user(), _now())
    if numbers:
        typer.echo(f"Removed from revisions {', '.join(map(str, numbers))}.")
    else:
        typer.echo("No revision holds a secret.")


@contextmanager
def _configuration(config: Path | None) -> "Iterator[SiteConfiguration]":
    """Opens the configuration of the site.

    Raises:
        ConfigurationReadOnly: it is in a file.
    """
    from node.configuration.site_configuration import ConfigurationReadOnly, SiteConfiguration

    with open_store(config) as store:
        site = SiteConfiguration(store, config)
        if not site.is_writable:
            raise ConfigurationReadOnly(config)
        yield site


def _revision(site: "SiteConfiguration", number: int | None) -> "Revision":
    if number is not None:
        return site.revision(number)
    active = site.store.active_revision()
    if active is None:
        raise Transient("there is no revision yet: start the node, which imports the file")
    return active


def _activate(
    site: "SiteConfiguration",
    text: str,
    file: Path,
    author: str | None,
    reason: str,
    base: int | None,
) -> None:
    from node.configuration.site_configuration import NothingChanged
    from node.store.configuration.revisions import RevisionConflict, RevisionDraft

    draft = RevisionDraft(text, author or operating_system_user(), reason)
    start = base or site.store.active_revision_number()
    try:
        revision = site.propose(draft, start, _now(), name=str(file))
    except NothingChanged as unchanged:
        typer.echo(sentence(str(unchanged)))
    except RevisionConflict as conflict:
        number = conflict.active.number
        raise Transient(
            f"{conflict}: `segnode config diff {number}` shows it, and --base {number} replaces it"
        ) from conflict
    else:
        typer.echo(_activated(revision))


def _text_of(file: Path) -> str:
    from node.domain.errors import Misconfigured

    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misconfigured("is not UTF-8", file=file) from error


def _line(revision: "Revision") -> str:
    return (
        f"{revision.number}  {revision.created_at:%Y-%m-%d %H:%M:%S} UTC  {revision.author}: "
        f"{revision.reason}"
    )


def _activated(revision: "Revision") -> str:
    return f"Revision {revision.number} is active; every process switches to it within seconds."


def _now() -> datetime:
    return datetime.now(UTC)
