"""The first start: a one-time code in the log lets its reader become the first administrator."""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog

from node.access.authentication import RequestFacts
from node.access.lock_out import LockOut
from node.access.login_records import own_account_record
from node.access.passwords import DIFFERENT_PASSWORDS, check_new_password, hash_password
from node.access.secrets import digest_of_code, new_code
from node.audit.losses import AuditLosses
from node.audit.recording import record_if_possible
from node.domain.access.users import AccountError, CodePurpose, User, user_name_of
from node.domain.texts.sentences import sentence
from node.store import Store

_LOG = structlog.get_logger()
_ACCOUNT = "set-up"
_WRONG_CODE = "the code is wrong; the log of the node states it at its last start"


@dataclass(frozen=True)
class NewAccount:
    """The name and password that the first administrator chooses; the password twice."""

    name: str
    password: str
    repeated: str


def announce_set_up(store: Store) -> None:
    """Logs a new code while there is no administrator; earlier codes do not count any more."""
    if store.has_administrator():
        return
    code = new_code()
    store.replace_code(CodePurpose.SET_UP, digest_of_code(code))
    _LOG.warning(
        "access.no_administrator",
        code=code,
        remedy="open /set-up in the console on this machine, and create one with the code",
    )


def set_up(store: Store, code: str, account: NewAccount, facts: RequestFacts) -> User:
    """Creates the first administrator; the code counts once.

    Raises:
        AccountError: there is an administrator already, or lists everything that is wrong with
            code, name and password.
    """
    lock_out = LockOut(store)
    lock_out.begin(_ACCOUNT, facts)
    if store.has_administrator():
        raise AccountError("there is an administrator already")
    digest = digest_of_code(code)
    mistakes = list(_account_mistakes(account))
    if store.has_code(CodePurpose.SET_UP, digest, facts.now):
        lock_out.succeeded(_ACCOUNT, facts)  # other mistakes are no guesses
    else:
        mistakes.insert(0, _WRONG_CODE)
    if mistakes:
        raise AccountError(" ".join(map(sentence, mistakes)))
    name = user_name_of(account.name)
    user = store.add_first_administrator(name, hash_password(account.password), digest, facts.now)
    if user is None:  # somebody else was faster
        raise AccountError(_WRONG_CODE)
    record = own_account_record(user.name, facts, "becomes the first administrator")
    record_if_possible(store.record, record, AuditLosses(store.data_dir))
    return user


def _account_mistakes(account: NewAccount) -> Iterator[str]:
    name = account.name
    try:
        name = user_name_of(account.name)
    except AccountError as error:
        yield str(error)
    if account.password != account.repeated:
        yield DIFFERENT_PASSWORDS
    try:
        check_new_password(account.password, name)
    except AccountError as error:
        yield str(error)
