"""Expiry of the tokens of programs."""

from datetime import datetime, timedelta

from node.domain.access.tokens import ApiToken
from node.domain.monitoring.problem import Problem, ProblemKind, Urgency
from node.settings import Settings
from node.store import Store


def token_problems(settings: Settings, store: Store, now: datetime) -> list[Problem]:
    """Returns a problem for each token in use that expires soon, or has expired lately.

    Nobody misses a token that no program has used, or that expired long ago.

    Raises:
        Transient: the database does not answer.
    """
    margin = timedelta(days=settings.monitoring.certificate_days)
    return [
        _expiring(token, now)
        for token in store.list_api_tokens()
        if token.last_used_at is not None and abs(token.expires_at - now) < margin
    ]


def _expiring(token: ApiToken, now: datetime) -> Problem:
    has_expired = token.expires_at <= now
    return Problem(
        kind=ProblemKind.TOKEN_EXPIRING,
        subject=token.name,
        urgency=Urgency.WARNING if has_expired else Urgency.NOTICE,
        text=(
            f"The token {token.name} {'expired' if has_expired else 'expires'} on "
            f"{token.expires_at:%Y-%m-%d}."
        ),
        remedy="Create another one, give it to the program, and revoke this one.",
        link="/tokens",
    )
