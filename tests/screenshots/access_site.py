"""Sites with a login: before the first administrator, and with users in each state."""

from datetime import UTC, datetime, timedelta

from node.access.login_records import own_account_record
from node.access.passwords import hash_password
from node.domain.access.external_users import ExternalPerson
from node.domain.access.permissions import Role
from tests.support.servers.served_node import ServedNode
from tests.support.servers.sessions import FACTS, open_session

PASSWORD = "violet tractor sings quietly"
# The provider does not answer.
WITH_PROVIDER = """
[web]
public_url = "http://localhost:8080"

[access.oidc]
issuer = "http://127.0.0.1:9/realms/staff"
client_id = "segnode"
roles = { radiology = "viewer" }
"""
_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def no_users(_node: ServedNode) -> None:
    """The node waits for its first administrator."""


def some_users(node: ServedNode) -> None:
    """Adds a user in each state."""
    now, store = datetime.now(UTC), node.store
    password = hash_password(PASSWORD)
    store.add_user("a.berger", Role.ADMINISTRATOR, now - timedelta(days=90), password)
    store.add_user("j.doe", Role.OPERATOR, now - timedelta(days=30), password)
    store.add_user("m.rossi", Role.VIEWER, now)
    store.add_user("t.former", Role.CONFIGURATOR, now - timedelta(days=400), password)
    store.set_disabled("t.former", True)
    issuer, digest = "http://127.0.0.1:9/realms/staff", "8f41c02d77ab"
    person = ExternalPerson(issuer, "4711", "k.lee", digest, Role.OPERATOR)
    store.record_external_login(person, now - timedelta(days=2))
    open_session(node, "sso:k.lee", now - timedelta(hours=1))
    store.set_totp_secret("j.doe", _SECRET)
    record = own_account_record("j.doe", FACTS, "sets up the second factor")
    store.confirm_second_factor("j.doe", _SECRET, 0, [f"{n}" for n in range(10)], record)
    open_session(node, "j.doe", now - timedelta(minutes=5))
