"""`python -m pacs_listener --config FILE`: the listener as a process of its own."""

import argparse
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.domain.errors import Misconfigured, NodeError
from node.domain.identifiers import AeTitle
from node.intake.inbox import Inbox
from node.log import configure_logging
from node.processes.supervisor import MISCONFIGURED_STATUS
from node.runtime.locks import Part, hold_process_lock
from node.runtime.readiness import notify_ready
from node.runtime.signals import StopSignal
from node.settings import Settings, load_settings
from node.store import Store
from node.store.files.factory import open_files
from pacs_listener.commitment import CommitmentService
from pacs_listener.scp import AssociationPolicy, Listener

_LOG = structlog.get_logger()
# Associations that run at a stop get this long to end by themselves.
_GRACE_S = 20.0


def main(arguments: list[str] | None = None) -> int:
    """Listens until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pacs_listener", description=__doc__)
    parser.add_argument("--config", type=Path, help="the configuration, TOML")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(options.config)
        configure_logging(settings.log_level)
        # Where our own code fails within a request, pynetdicom answers C211 and tells the why here.
        logging.getLogger("pynetdicom").setLevel(logging.ERROR)
        run(settings)
    except Misconfigured as error:
        _LOG.error("listener.misconfigured", error=str(error))
        return MISCONFIGURED_STATUS
    except NodeError as error:
        _LOG.error("listener.failed", error=str(error))
        return 1
    return 0


def run(settings: Settings) -> None:
    """Listens until SIGTERM or SIGINT, then lets running associations end.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
    """
    stop = StopSignal()
    store = Store.open(settings.database_url, settings.data_dir, open_files(settings))
    try:
        inbox = Inbox(store, settings.min_free_bytes)
        inbox.remove_abandoned()
        policy = policy_from(settings)
        commitment = CommitmentService(store, policy.calling_ae_titles, _utc_now)
        listener = Listener(policy, inbox, commitment, _utc_now)
        port = listener.start()
        with hold_process_lock(Part.LISTENER, settings.data_dir):
            _LOG.info("listener.ready", ae_title=settings.listener.ae_title, port=port)
            notify_ready()
            stop.wait()
        _LOG.info("listener.stopping")
        listener.stop(_GRACE_S)
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
