"""C-FIND as a service class user, Study Root (PS3.4 C.4.1)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
)

from node.dicom.query import QueryLevel, TooManyMatches
from node.dimse.scu import (
    SUCCESS,
    Remote,
    application_entity,
    associated,
    broken_association_as_transient,
    status_text,
)
from node.domain.errors import Transient
from node.domain.identifiers import AeTitle

QUERY_MODEL = StudyRootQueryRetrieveInformationModelFind
_MESSAGE_ID = 1
# Matches that may be under way when the remote gets the request to stop.
_MAX_AFTER_CANCEL = 10_000
# More matches follow; the second says that the peer ignores an optional key (PS3.4 C.4.1.1.4).
_PENDING = {0xFF00, 0xFF01}
# PS3.4 table C.4-1.
FIND_FAILURES: Mapping[int, str] = {
    0x0122: "it does not support this query",
    0x0124: "the node is not authorized there",
    0xA700: "it is out of resources",
    0xA900: "the keys do not match the query model",
    0xFE00: "it cancelled the query",
}

Find = Callable[[QueryLevel, Mapping[str, str], int], list[Dataset]]


@contextmanager
def finding(remote: Remote, calling: AeTitle) -> Iterator[Find]:
    """Opens an association for queries.

    The yielded function takes the level, the keys by keyword (an empty value returns the attribute)
    and the maximum number of matches; it returns the matches.

    Raises:
        Transient: no association, or the remote refuses a query.
        TooManyMatches: more matches than the maximum.
    """
    ae = application_entity(calling)
    ae.add_requested_context(QUERY_MODEL)
    refusal = Transient(f"{remote} accepts no queries (C-FIND, Study Root) from {calling}")
    with associated(ae, remote, no_context_error=refusal) as association:
        yield partial(_find, association, remote)


def _find(
    association: Association,
    remote: Remote,
    level: QueryLevel,
    keys: Mapping[str, str],
    max_matches: int,
) -> list[Dataset]:
    matches: list[Dataset] = []
    ignored = 0  # matches after the query was cancelled
    cancelled = False
    with broken_association_as_transient(remote):
        for status, match in association.send_c_find(
            _identifier(level, keys), QUERY_MODEL, msg_id=_MESSAGE_ID
        ):
            code = status.get("Status")
            if code in _PENDING:
                if match is None:
                    raise Transient(f"{remote} sent a match that cannot be read")
                if cancelled:
                    ignored += 1
                    if ignored > _MAX_AFTER_CANCEL:
                        association.abort()
                        break
                    continue
                matches.append(match)
                if len(matches) > max_matches:
                    # The remote ends the query with one further response.
                    association.send_c_cancel(_MESSAGE_ID, query_model=QUERY_MODEL)
                    cancelled = True
            elif not cancelled:
                _check_final_status(code, status, remote)
    if cancelled:
        raise TooManyMatches(str(remote), max_matches)
    return matches


def _identifier(level: QueryLevel, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level.value
    if not all(value.isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _check_final_status(code: int | None, status: Dataset, remote: Remote) -> None:
    if code == SUCCESS:
        return
    if code is None:
        raise Transient(
            f"{remote} stopped answering during the query: check whether it lets the AE title of "
            "this node query"
        )
    reason = FIND_FAILURES.get(code, "it cannot process it")
    raise Transient(f"{remote} refused the query: {reason} ({status_text(status)})")
