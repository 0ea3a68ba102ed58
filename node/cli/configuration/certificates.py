"""Refuses a revision that names certificates which a process could not use."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.configuration.host_mistakes import certificate_mistakes
from node.domain.errors import Misconfigured

if TYPE_CHECKING:
    from node.configuration.site_configuration import SiteConfiguration


FilesElsewhereOption = Annotated[
    bool,
    typer.Option(
        "--files-elsewhere", help="Do not check certificate files: they are on other hosts."
    ),
]


def refuse_unusable_certificates(site: "SiteConfiguration", text: str, name: str) -> None:
    """Checks the certificate files of a text as `segnode check` does, on this host.

    What is wrong with the active revision as well is no reason to refuse another one: an expired
    certificate must not keep a site from changing its rules. Mistakes call the text `name`.

    Raises:
        Misconfigured: the text has mistakes, or names files that cannot be used.
    """
    proposed = site.check_proposed(text, name=name)
    try:
        before = {_said(each) for each in certificate_mistakes(site.check(site.text()))}
    except Misconfigured:  # the active revision lacks more than certificates
        before = set()
    added = [each for each in certificate_mistakes(proposed) if _said(each) not in before]
    if added:
        typer.echo(
            "If these files are on other hosts, repeat the command with --files-elsewhere.",
            err=True,
        )
        raise Misconfigured.combined(added)


def _said(mistake: Misconfigured) -> tuple[str | None, str]:
    """What two texts have in common that make the same mistake."""
    return mistake.key, mistake.message
