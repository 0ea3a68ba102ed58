"""The store: everything the node remembers, behind one door."""

from pathlib import Path
from typing import Self

from node.store.audit import AuditTrail
from node.store.commitment.received import Commitments
from node.store.commitment.requested import AskedCommitments
from node.store.database import Database, parse_url
from node.store.files import DataFolder, Files
from node.store.migrate import bring_up_to_date
from node.store.received.cleanup import Clearing
from node.store.received.instances import Instances
from node.store.received.retrievals import Retrievals
from node.store.site.files_check import check_files
from node.store.site.workers import Workers
from node.store.work.attempts import Tries
from node.store.work.outcomes import Outcomes
from node.store.work.reruns import Reruns


class Store(
    Instances,
    Outcomes,
    Reruns,
    Tries,
    AskedCommitments,
    Retrievals,
    Commitments,
    Clearing,
    Workers,
    AuditTrail,
):
    """Instances, series, jobs, deliveries, retrievals, commitments, workers, the audit trail.

    Each method is one short transaction, durable when it returns; all take and give aware UTC
    times. Any number of threads and processes may use one database. Any method raises Transient
    when the database does not answer.
    """

    @classmethod
    def open(cls, database_url: str, data_dir: Path, files: Files | None = None) -> Self:
        """Opens the database, making or migrating its tables as needed.

        Several processes may do so at the same moment. Without `files`, those in `data_dir`.

        Raises:
            Misconfigured: the URL names no database that we can use, or one of other files.
            Transient: the database does not answer.
        """
        data_dir = data_dir.absolute()
        if files is None:
            files = DataFolder(data_dir)
        data_dir.mkdir(parents=True, exist_ok=True)
        database = Database(parse_url(database_url))
        bring_up_to_date(database)
        if not database.is_sqlite:
            check_files(database, files, data_dir)
        return cls(database, data_dir, files)

    def check_writable(self) -> None:
        """See that something can be written now; answers within two seconds or so.

        Raises:
            Transient: the database is locked, full or read-only, or does not answer.
        """
        self._database.check_writable()

    def close(self) -> None:
        """Closes every connection."""
        self._database.close()
