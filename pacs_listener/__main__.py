"""`python -m pacs_listener --config FILE`: the listener as a process of its own."""

import logging
import sys
from datetime import UTC, datetime

import structlog

from node.domain.identifiers import AeTitle
from node.intake.inbox import Inbox
from node.processes.entry_point import run_process
from node.runtime.locks import LockedProcess, hold_process_lock
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.settings import Settings
from node.store import Store
from node.store.files.factory import open_files
from pacs_listener.commitment import CommitmentService
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.scp import AssociationPolicy, Listener

_LOG = structlog.get_logger()
# Associations that run at a stop get this long to end by themselves.
_GRACE_S = 20.0


def main(arguments: list[str] | None = None) -> int:
    """Listens until SIGTERM or SIGINT; returns the exit status."""
    return run_process("listener", "pacs_listener", __doc__, run, arguments)


def run(settings: Settings) -> None:
    """Listens until SIGTERM or SIGINT, then lets running associations end.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
    """
    # pynetdicom logs a failure of our own code in a request here, and answers with status C211.
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    stop = StopSignal()
    supervisor = SupervisorPipe()
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    try:
        inbox = Inbox(store, settings.min_free_bytes)
        inbox.remove_abandoned()
        policy = policy_from(settings)
        commitment = CommitmentService(store, policy.calling_ae_titles, _utc_now)
        rejections = RejectionRecorder(store, _utc_now)
        listener = Listener(policy, inbox, commitment, _utc_now, rejections)
        port = listener.start()
        rejections.start()
        with hold_process_lock(LockedProcess.LISTENER, settings.data_dir):
            _LOG.info("listener.ready", ae_title=settings.listener.ae_title, port=port)
            supervisor.send_sign()
            while not stop.wait(SIGN_SECONDS):
                supervisor.send_sign()
        _LOG.info("listener.stopping")
        listener.stop(_GRACE_S)
        rejections.stop()
    finally:
        store.close()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def policy_from(settings: Settings) -> AssociationPolicy:
    """Who may associate, and how, at this site."""
    listener = settings.listener
    return AssociationPolicy(
        ae_title=AeTitle(listener.ae_title),
        host=listener.host,
        port=listener.port,
        max_pdu=listener.max_pdu,
        max_associations=listener.max_associations,
        calling_ae_titles=tuple(AeTitle(peer.ae_title) for peer in settings.peers.values()),
    )


if __name__ == "__main__":
    sys.exit(main())
