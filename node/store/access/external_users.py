"""The table of people whom an identity provider knows, and their users."""

from datetime import datetime

from sqlalchemy import insert, select, update

from node.domain.access.external_users import ExternalPerson
from node.domain.access.users import User
from node.store.access.tables import EXTERNAL_IDENTITIES, USERS
from node.store.access.users import new_user_row, user_of
from node.store.migrate import acquire_site_lock
from node.store.repository import Repository

_E = EXTERNAL_IDENTITIES.c


class ExternalUsers(Repository):
    """The users of people whom a provider knows by issuer and subject."""

    def external_user(self, issuer: str, subject: str) -> User | None:
        """Returns the user of a person; None before the first login."""
        query = (
            select(USERS)
            .join(EXTERNAL_IDENTITIES, _E.user_name == USERS.c.name)
            .where(_E.issuer == issuer, _E.subject == subject)
        )
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else user_of(row)

    def external_subjects(self, issuer: str) -> set[str]:
        """Returns the subjects of an issuer that have logged in."""
        query = select(_E.subject).where(_E.issuer == issuer)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def record_external_login(self, person: ExternalPerson, now: datetime) -> User:
        """Returns the user of a person, who gets the role; adds the user at the first login.

        The name stays that of the first login, so that records name one person alone.
        """
        own = (_E.issuer == person.issuer, _E.subject == person.subject)
        with self._database.writing() as connection:
            acquire_site_lock(connection, self._database)
            name = connection.execute(select(_E.user_name).where(*own)).scalar_one_or_none()
            if name is None:
                taken = select(USERS.c.name).where(USERS.c.name.in_(person.names))
                used = set(connection.execute(taken).scalars())
                name = next(each for each in person.names if each not in used)
                row = new_user_row(User.new(name, person.role, now), None)
                connection.execute(insert(USERS).values(row))
                identity = {"issuer": person.issuer, "subject": person.subject, "user_name": name}
                connection.execute(insert(EXTERNAL_IDENTITIES).values(identity))
            own_user = USERS.c.name == name
            connection.execute(update(USERS).where(own_user).values(role=person.role.value))
            return user_of(connection.execute(select(USERS).where(own_user)).one())
