"""The configuration of a site: reads, checks and changes it.

With `config = "file"`, the file of each host holds it, and only a person changes it there. With
`config = "database"`, the active revision holds it for all hosts, and the file of each host only
says where that host keeps its data.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from node.configuration.differences import recorded_change, unified_difference
from node.configuration.identity import IdentityChange, identity_changes
from node.configuration.literal_secrets import refuse_literal_secrets, without_literal_secrets
from node.configuration.location_lines import without_location
from node.configuration.protected_settings import AdministratorNeeded, protected_changes
from node.domain.audit.records import AuditActor, AuditInterface
from node.domain.errors import Misconfigured, NodeError
from node.settings import Settings, load_revision
from node.settings.location import is_in_database
from node.settings.toml_source import TomlSource
from node.store import Store
from node.store.configuration.processes import ConfiguredProcess
from node.store.configuration.revisions import Revision, RevisionConflict, RevisionDraft

# How messages name a text that is not a revision yet.
PROPOSED = "configuration"
# A process that has not reported for longer has ended.
_MAX_SILENCE = timedelta(minutes=2)


class ConfigurationReadOnly(NodeError):
    """The configuration is in a file."""

    def __init__(self, file: Path | None) -> None:
        super().__init__(
            f"the configuration is in {file or 'no file: the defaults apply'}. Change the file and "
            'run `segnode reload`, or set config = "database" in it and restart the node'
        )


class NothingChanged(NodeError):
    """The text is that of the active revision already."""

    def __init__(self, active: Revision) -> None:
        super().__init__(f"nothing changed: revision {active.number} has this text already")
        self.active = active


class UnknownRevision(NodeError):
    """There is no revision of that number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no revision {number}; `segnode config list` shows them all")


def revision_name(number: int) -> str:
    """How messages name a revision."""
    return f"revision {number}"


@dataclass(frozen=True)
class SiteConfiguration:
    """The configuration of the site of `store`; `file` is that of this host, None without one.

    `is_administrator` says whether its user may change what only administrators may change. The
    audit trail records changes with the interface and the address of that user.
    """

    store: Store
    file: Path | None
    is_administrator: bool = True
    interface: AuditInterface = AuditInterface.CLI
    address: str = ""

    @property
    def is_writable(self) -> bool:
        """Whether it is in the database, where revisions change it."""
        return is_in_database(self.file)

    def text(self) -> str:
        """Returns the active text, in TOML, without what belongs to each host."""
        if self.is_writable:
            active = self.store.active_revision()
            if active is not None:
                return active.text
        return file_text(self.file)

    def check(self, text: str, *, name: str = PROPOSED) -> Settings:
        """Returns the settings of a text as a revision on this host; mistakes call it `name`.

        Raises:
            Misconfigured: lists every mistake on its own line, with its line number.
        """
        return load_revision(self.file, text, name)

    def check_proposed(self, text: str, *, name: str = PROPOSED) -> Settings:
        """Returns the settings of a text that is to become a revision, and so holds no secret.

        Raises:
            Misconfigured: it has mistakes, or holds a secret.
        """
        return load_proposed(self.file, text, name)

    def propose(
        self, draft: RevisionDraft, base: int | None, now: datetime, *, name: str = PROPOSED
    ) -> Revision:
        """Adds a revision and makes it active; `base` is the number of the revision it changes.

        Mistakes call the text `name`.

        Raises:
            ConfigurationReadOnly: the configuration is in a file.
            AdministratorNeeded: only an administrator may make this change.
            Misconfigured: the text has mistakes; nothing changes.
            NothingChanged: the active revision has this text already.
            RevisionConflict: another revision has become active; nothing changes.
        """
        if not self.is_writable:
            raise ConfigurationReadOnly(self.file)
        settings = self.check_proposed(draft.text, name=name)
        text = _without_outer_blank_lines(draft.text)
        active = self.store.active_revision()
        if active is not None and active.text == text:
            raise NothingChanged(active)
        if not self.is_administrator:
            self._refuse_protected_changes(active, settings)
        return self.store.activate_revision(
            replace(draft, text=text),
            base,
            now,
            change=recorded_change("" if active is None else active.text, text),
            interface=self.interface,
            address=self.address,
        )

    def _refuse_protected_changes(self, active: Revision | None, proposed: Settings) -> None:
        before = None
        if active is not None:
            with suppress(Misconfigured):
                before = self.check(active.text)
        if changes := protected_changes(before, proposed):
            raise AdministratorNeeded(changes)

    def roll_back(
        self, number: int, author: str, reason: str, base: int | None, now: datetime
    ) -> Revision:
        """Adds a revision with the text of revision `number`, and makes it active.

        Raises:
            UnknownRevision: there is none of that number.
            ConfigurationReadOnly, AdministratorNeeded, Misconfigured, NothingChanged,
                RevisionConflict: as `propose`.
        """
        old = self.revision(number)
        return self.propose(RevisionDraft(old.text, author, reason), base, now)

    def identity_changes(self, text: str, *, name: str = PROPOSED) -> tuple[IdentityChange, ...]:
        """Returns what the text would change of that by which the node is known on the network.

        Nothing, where the configuration is in a file. Mistakes call the text `name`.

        Raises:
            Misconfigured: the text has mistakes.
        """
        if not self.is_writable:
            return ()
        after = self.check(text, name=name)
        try:
            before = self.check(self.text())
        except Misconfigured:  # nothing can tell by what the node is known now
            return ()
        return tuple(identity_changes(before, after))

    def remove_secrets(self, author: str, now: datetime) -> list[int]:
        """Removes every secret from the texts of the revisions; returns the numbers of these.

        Raises:
            ConfigurationReadOnly: the configuration is in a file.
            Misconfigured: the active revision holds a secret, and needs it.
        """
        if not self.is_writable:
            raise ConfigurationReadOnly(self.file)
        active = self.store.active_revision()
        if active is not None:
            refuse_literal_secrets(active.text, revision_name(active.number))
        changed = {}
        for revision in self.store.list_revisions(active.number if active is not None else 0):
            text = without_literal_secrets(revision.text)
            if text != revision.text:
                changed[revision.number] = text
        actor = AuditActor(author, self.interface, self.address)
        self.store.remove_secrets_of_revisions(changed, actor, now)
        return sorted(changed)

    def revision(self, number: int) -> Revision:
        """Returns the revision of that number.

        Raises:
            UnknownRevision: there is none.
        """
        found = self.store.get_revision(number)
        if found is None:
            raise UnknownRevision(number)
        return found

    def processes(self, now: datetime) -> list[ConfiguredProcess]:
        """Returns the processes that run, each with its revision; none where it is in a file."""
        return running_processes(self.store, now) if self.is_writable else []

    def difference(self, old: int | None, new: int) -> str:
        """Returns the unified diff between two revisions; against nothing if `old` is None.

        A secret that an earlier version has stored is hidden in it.

        Raises:
            UnknownRevision: one of them does not exist.
        """
        before = "" if old is None else without_literal_secrets(self.revision(old).text)
        after = without_literal_secrets(self.revision(new).text)
        name = "nothing" if old is None else revision_name(old)
        return unified_difference(before, after, name, revision_name(new))


def running_processes(store: Store, now: datetime) -> list[ConfiguredProcess]:
    """Returns the processes that follow the revisions of `store`, and have reported lately."""
    return store.configured_processes(now - _MAX_SILENCE)


def file_text(file: Path | None) -> str:
    """Returns the text of the file without what belongs to each host; empty without a file.

    Raises:
        Misconfigured: the file cannot be read, or is not valid TOML.
    """
    if file is None:
        return ""
    TomlSource.read(file)
    text = file.read_text(encoding="utf-8-sig").replace("\r\n", "\n")
    return without_location(text, str(file))


def load_proposed(file: Path | None, text: str, name: str) -> Settings:
    """Returns the settings of a text that is to become a revision; see `load_revision`.

    Raises:
        Misconfigured: it has mistakes, or holds a secret.
    """
    settings = load_revision(file, text, name)
    refuse_literal_secrets(text, name)
    return settings


def _without_outer_blank_lines(text: str) -> str:
    return text.replace("\r\n", "\n").strip("\n") + "\n"


def import_file(store: Store, file: Path | None, now: datetime) -> None:
    """Makes the text of the file the first revision, where there is none yet.

    Raises:
        Misconfigured: the file has mistakes.
        Transient: the database does not answer.
    """
    if store.active_revision_number() is not None:
        return
    text = file_text(file)
    load_proposed(file, text, str(file))
    reason = f"imported from {file} at the first start"
    draft = RevisionDraft(_without_outer_blank_lines(text), "segnode", reason)
    with suppress(RevisionConflict):  # another process or host was first
        store.activate_revision(draft, None, now, change=recorded_change("", draft.text))
