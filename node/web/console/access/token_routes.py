"""Routes of the page of tokens of programs, for administrators."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from node.access.api_tokens import TokenKeeper
from node.domain.access.permissions import Permission
from node.domain.access.users import AccountError
from node.domain.audit.records import AuditInterface
from node.settings import Settings
from node.web.acting_user import CurrentUser
from node.web.console.access.answers import access_page, see_other
from node.web.dependencies import Now, PostedForm, SiteSettings, SiteStore

ROUTER = APIRouter(include_in_schema=False)
_PATH = "/tokens"
_DEFAULT_DAYS = 365
_NOT_A_NUMBER = "the token is valid for a whole number of days, such as 365"


@dataclass(frozen=True)
class TokensPage:
    """The page of tokens, and what changes them for the sender of the request."""

    request: Request
    settings: Settings
    keeper: TokenKeeper
    now: datetime

    def show(self, mistake: str = "", created: str = "") -> Response:
        """Returns the page; a token that was created is shown this once."""
        max_days = self.settings.access.token_max_days
        return access_page(
            self.request,
            "tokens.html",
            mistake=mistake,
            created=created,
            tokens=self.keeper.store.list_api_tokens(),
            permissions=tuple(Permission),
            days=min(_DEFAULT_DAYS, max_days),
            max_days=max_days,
            now=self.now,
        )


def _page(
    request: Request, settings: SiteSettings, store: SiteStore, user: CurrentUser, now: Now
) -> TokensPage:
    keeper = TokenKeeper(
        store,
        user.named(),
        settings.access.token_max_days,
        AuditInterface(user.interface),
        user.address,
    )
    return TokensPage(request, settings, keeper, now)


Page = Annotated[TokensPage, Depends(_page)]


@ROUTER.get(_PATH)
def tokens_page(page: Page) -> Response:
    """Shows the tokens with what they may do and when they were last used."""
    return page.show()


@ROUTER.post(_PATH)
def create_token(page: Page, form: PostedForm) -> Response:
    """Creates a token and shows it, once."""
    may = frozenset(each for each in Permission if f"may.{each.value}" in form)
    days = form.get("days", "").strip()
    if not (days.isascii() and days.isdecimal() and int(days[:6]) > 0):
        return page.show(_NOT_A_NUMBER)
    try:
        valid = timedelta(days=int(days[:6]))
        created = page.keeper.create(form.get("name", ""), may, valid, page.now)
    except AccountError as error:
        return page.show(str(error))
    return page.show(created=created)


@ROUTER.post("/tokens/{name}/revoke")
def revoke_token(page: Page, name: str) -> Response:
    """Revokes a token."""
    try:
        page.keeper.revoke(name, page.now)
    except AccountError as error:
        return page.show(str(error))
    return see_other(_PATH)
