"""`python -m pacs_listener --config FILE`: the listener, in one process or several."""

import logging
import sys
import time
from dataclasses import dataclass
from functools import partial

import structlog

from node.audit.losses import AuditLosses
from node.audit.process_records import recorded_process
from node.configuration.follower import POLL_SECONDS, ConfigurationFollower
from node.dimse.tls.certificate_files import certificate_files, check_certificates
from node.dimse.tls.seen_certificates import FLUSH_SECONDS, SeenCertificates
from node.domain.connections.seen_certificate import PeerRole
from node.intake.inbox import Inbox
from node.intake.refused_images import FLUSH_SECONDS as FLUSH_REFUSED_SECONDS
from node.intake.refused_images import FORGET_SECONDS, RefusedImages
from node.processes.audit_losses import add_loss_report
from node.processes.entry_point import Host, RestartNeeded, exit_status, run_process, utc_now
from node.runtime.listening import ListeningPorts, hold_listener_lock
from node.runtime.signals import StopSignal
from node.runtime.supervisor_pipe import SIGN_SECONDS, SupervisorPipe
from node.runtime.timers import Timers
from node.settings import Settings
from node.store import Store
from node.tls.renewal import CertificateRenewal
from pacs_listener.commitment import CommitmentService
from pacs_listener.policy import AssociationPolicy, policy_from
from pacs_listener.processes.first_policy import first_policy
from pacs_listener.processes.process_group import ProcessGroup
from pacs_listener.processes.share import ListenerShare
from pacs_listener.rejection_recorder import RejectionRecorder
from pacs_listener.scp import Listener

_LOG = structlog.get_logger()
ROLE = "listener"
# Associations that run at a stop get this long to end by themselves.
_GRACE_S = 20.0
# Counts of rejections stay in memory for this time.
_STORE_REJECTIONS_S = 5.0
# The time after which renewed certificates are in use.
_CERTIFICATES_S = 10.0
# A listener that is to restart accepts associations until none is open, for at most this time.
_MAX_WAIT_S = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Listens until SIGTERM or SIGINT; returns the exit status."""
    return run_process(ROLE, "pacs_listener", __doc__, run, arguments)


def run(host: Host) -> None:
    """Listens until SIGTERM or SIGINT, then lets running associations end.

    Raises:
        Misconfigured: the address or the database cannot be used.
        Transient: the database does not answer.
        RestartNeeded: another address is configured, and the associations have ended.
    """
    # pynetdicom logs a failure of our own code in a request here, and answers with status C211.
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    policy = first_policy(host)
    losses = AuditLosses(host.settings.data_dir)
    if policy is not None and policy.processes > 1:
        with recorded_process(host.record_apart, ROLE, utc_now, losses):
            group = ProcessGroup(ListenerShare.opened(policy), partial(_serve_beside, host))
            group.run(StopSignal(), SupervisorPipe())
        return
    stop = StopSignal()
    store = host.open_store()
    try:
        with recorded_process(store.record_soon, ROLE, utc_now, losses):
            _listen(host, store, stop, ListenerShare.alone())
    finally:
        store.close()


def _serve_beside(host: Host, share: ListenerShare) -> int:
    """Runs one of several processes to its end; returns its exit status."""
    host.log_limit.divide(share.limits.processes)
    stop = StopSignal()

    def listen() -> None:
        store = host.open_store()
        try:
            _listen(host, store, stop, share)
        finally:
            store.close()

    return exit_status(ROLE, listen)


def _listen(host: Host, store: Store, stop: StopSignal, share: ListenerShare) -> None:
    """Listens in this process; raises what `run` raises."""
    supervisor = SupervisorPipe()
    process = ListenerProcess(
        store,
        RejectionRecorder(store, utc_now, share.limits.processes),
        RefusedImages(store, utc_now),
        SeenCertificates(store, utc_now, PeerRole.SENDER),
        share,
    )
    Inbox(store, 0).remove_abandoned()
    follower = host.follower(store, ROLE, stop.reload_requested, process.use)
    follower.start()
    timers = _timers(process, follower)
    add_loss_report(timers, store, AuditLosses(host.settings.data_dir))
    with hold_listener_lock(host.settings.data_dir, process.ports):
        process.log_ready()
        supervisor.send_sign()
        timers.start()
        while not stop.wait(SIGN_SECONDS) and not process.may_restart():
            supervisor.send_sign()
            timers.handle_clock_change()
    timers.stop()
    _LOG.info("listener.stopping")
    process.stop()
    process.flush()
    if not stop.wait(0.0):
        raise RestartNeeded


def _timers(process: "ListenerProcess", follower: ConfigurationFollower) -> Timers:
    """Returns the tasks beside listening; the caller starts them."""
    timers = Timers()
    timers.add("configuration", POLL_SECONDS, follower.poll)
    timers.add("rejections", _STORE_REJECTIONS_S, process.rejections.flush)
    timers.add("refused images", FLUSH_REFUSED_SECONDS, process.refused_images.flush)
    timers.add("old refused images", FORGET_SECONDS, process.refused_images.forget_old)
    timers.add("certificates of peers", FLUSH_SECONDS, process.seen_certificates.flush)
    timers.add("certificates", _CERTIFICATES_S, process.certificates.poll)
    return timers


@dataclass
class ListenerProcess:
    """The listener, and the configuration that it has."""

    store: Store
    rejections: RejectionRecorder
    refused_images: RefusedImages
    seen_certificates: SeenCertificates
    share: ListenerShare
    port: int = 0
    _policy: AssociationPolicy | None = None
    _listener: Listener | None = None
    _restart_at: float | None = None

    def __post_init__(self) -> None:
        self.certificates = CertificateRenewal(self._renew_certificates)

    @property
    def tls_port(self) -> int:
        """The port for TLS; 0 without one."""
        return 0 if self._listener is None else self._listener.tls_port

    @property
    def ports(self) -> ListeningPorts:
        """The ports on which it listens."""
        has_plain = self._policy is not None and self._policy.port is not None
        return ListeningPorts(self.port if has_plain else None, self.tls_port or None)

    @property
    def ae_title(self) -> str:
        """The AE title that it has."""
        return "" if self._policy is None else str(self._policy.ae_title)

    def use(self, settings: Settings) -> None:
        """Starts to listen, or switches to other settings; another address needs a restart.

        Raises:
            Misconfigured: the address cannot be listened on, or the certificates cannot be used.
            RestartNeeded: the address has changed since the sockets were opened.
        """
        check_certificates(settings, utc_now())
        policy = policy_from(settings)
        inbox = Inbox(self.store, settings.min_free_bytes, settings.image_digest)
        if self._listener is None or self._policy is None:
            if self.share.address not in (None, policy.address):
                raise RestartNeeded
            commitment = CommitmentService(
                self.store,
                policy.committing_titles,
                utc_now,
                policy.completing_titles("commitment"),
            )
            listener = Listener(
                policy,
                inbox,
                commitment,
                utc_now,
                self.rejections,
                refused=self.refused_images,
                certificates=self.seen_certificates,
                beside=self.share,
            )
            self.port = listener.start()
            self._listener = listener
        elif policy.address != self._policy.address:
            self._restart_at = time.monotonic() + _MAX_WAIT_S
            return
        else:
            self._restart_at = None  # back to the address that it has
            self._listener.use(policy, inbox)
        self._policy = policy
        self.certificates.use(certificate_files(settings))

    def _renew_certificates(self) -> None:
        if self._listener is not None:
            self._listener.renew_certificates()

    def may_restart(self) -> bool:
        """Whether a restart is needed, and no association is open or the wait was long enough."""
        if self._restart_at is None or self._listener is None:
            return False
        return self._listener.is_idle or time.monotonic() > self._restart_at

    def log_ready(self) -> None:
        """Logs under which name and on which ports it listens."""
        ports = {"port": self.ports.plain, "tls_port": self.ports.tls}
        in_use = {name: port for name, port in ports.items() if port is not None}
        _LOG.info("listener.ready", ae_title=self.ae_title, **in_use)

    def flush(self) -> None:
        """Stores what it has only counted so far."""
        self.rejections.close()
        self.refused_images.flush()
        self.seen_certificates.flush()

    def stop(self) -> None:
        """Accepts no more associations; open ones get some time to end."""
        if self._listener is not None:
            self._listener.stop(_GRACE_S)


if __name__ == "__main__":
    sys.exit(main())
