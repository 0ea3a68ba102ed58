"""With which policy the listener begins, before it opens a port."""

from collections.abc import Callable

from node.dimse.tls.certificate_files import check_certificates
from node.domain.errors import NodeError, Transient
from node.processes.entry_point import Host, utc_now
from node.settings import Settings
from node.settings.location import is_in_database
from pacs_listener.policy import AssociationPolicy, policy_from


def first_policy(host: Host) -> AssociationPolicy | None:
    """Returns that of the first configuration that can be used; None where none can.

    The database is closed again afterwards, so that the process can fork.

    Raises:
        Misconfigured: the database cannot be used.
        Transient: the database does not answer.
    """
    if not is_in_database(host.file):
        return _policy_of(lambda: host.settings)
    store = host.open_store()
    try:
        for candidate in host.source(store, "listener", lambda: False).at_start():
            policy = _policy_of(candidate.load)
            if policy is not None:
                return policy
    finally:
        store.close()
    return None


def _policy_of(load: Callable[[], Settings]) -> AssociationPolicy | None:
    try:
        settings = load()
        check_certificates(settings, utc_now())
        return policy_from(settings)
    except Transient:
        raise
    except NodeError:  # the process that uses it says what is wrong
        return None
