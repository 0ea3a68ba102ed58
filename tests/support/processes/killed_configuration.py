"""Changes of the configuration that are killed: `-m tests.support.processes.killed_configuration`.

The arguments are a folder for the node and how its configuration is changed. For each step, a child
changes it and kills itself with SIGKILL there, until one ends before its step. Each line of the
output says what was in force afterwards.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from node.access.sessions import SessionKeeper, cookie_name, csrf_token
from node.configuration.active import active_settings
from node.configuration.site_configuration import SiteConfiguration, import_file
from node.domain.access.permissions import Role
from node.domain.access.users import SessionStage
from node.settings import load_location, load_revision
from node.store import Store
from node.store.configuration.revisions import Revision
from node.web.app import create_app
from tests.support.servers.sessions import FACTS, add_user
from tests.support.whole_command_line import app as command_line

_MAX_STEPS = 200
USER = "ada"


class Way(StrEnum):
    """How a person changes the configuration."""

    COMMAND = "command"
    CONSOLE = "console"


def kill_at(step: int) -> None:
    """Kills the process at a step of the change, once all is read and checked.

    A step is the moment before a statement or a commit, or after the end of a transaction.
    """
    steps = iter(range(1, _MAX_STEPS))
    activate = Store.activate_revision

    def count(*_: object) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(*given: Any, **options: Any) -> Revision:
        event.listen(Engine, "before_cursor_execute", count)
        event.listen(Engine, "commit", count)
        event.listen(Pool, "checkin", count)
        return activate(*given, **options)

    setattr(Store, "activate_revision", counted)  # noqa: B010 mypy rejects an assignment


def change_by_command(config: Path, text: str) -> None:
    """`segnode config set`."""
    file = config.with_name("new.toml")
    file.write_text(text, encoding="utf-8")
    arguments = ["config", "set", str(file), "--reason", "a test", "--config", str(config)]
    command_line(arguments, standalone_mode=False)


def change_in_console(config: Path, text: str) -> None:
    """The form of the console, by HTTPS and in the session of a user."""
    with closing(open_store(config)) as store:
        configuration = SiteConfiguration(store, config)
        settings = load_revision(config, configuration.text(), "the active revision")
        app = create_app(settings, store, configuration)
        facts = replace(FACTS, now=datetime.now(UTC), is_https=True)
        keeper = SessionKeeper(store, settings.access)
        cookies = {cookie_name(is_https=True): keeper.open(USER, SessionStage.OPEN, facts)}
        form = {"text": text, "reason": "a test", "author": USER}
        form["base"] = str(store.active_revision_number())
        answer = asyncio.run(posted(app, cookies, form))
        assert answer.status_code == 303, answer.text


async def posted(app: FastAPI, cookies: dict[str, str], form: dict[str, str]) -> httpx.Response:
    """Posts the form by HTTPS, in the session that the cookies name."""
    token = {"X-CSRF-Token": csrf_token(cookies, is_https=True)}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="https://localhost",
        headers=token,
        cookies=cookies,
    ) as client:
        return await client.post("/configuration", data=form)


_CHANGES: dict[Way, Callable[[Path, str], None]] = {
    Way.COMMAND: change_by_command,
    Way.CONSOLE: change_in_console,
}


def open_store(config: Path) -> Store:
    """Opens the store of the node."""
    location = load_location(config)
    return Store.open(location.database_url, location.data_dir)


def run_child(change: Callable[[], None], step: int) -> bool:
    """Runs the change in a child of this process; returns whether it was killed."""
    child = os.fork()  # of a process with one thread
    if child == 0:
        kill_at(step)
        change()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def state(config: Path, old: str, new: str) -> dict[str, object]:
    """What is in force, and whether the node can use it."""
    with closing(open_store(config)) as store:
        text = SiteConfiguration(store, config).text()
        return {
            "in_force": "old" if text == old else "new" if text == new else text,
            "quiet_seconds": active_settings(config).quiet_seconds,
            "revisions": len(store.list_revisions(_MAX_STEPS)),
            "active": store.active_revision_number(),
            "chain_faults": len(store.audit_chain_faults()),
        }


def main(folder: Path, way: Way) -> None:
    """Kills a change at each of its steps, and reports."""
    config = folder / "segnode.toml"
    config.write_text('data_dir = "data"\nconfig = "database"\n', encoding="utf-8")
    with closing(open_store(config)) as store:
        import_file(store, config, datetime.now(UTC))
        add_user(store, USER, Role.CONFIGURATOR)
        old = SiteConfiguration(store, config).text()
    was_killed, step = True, 0
    while was_killed:
        step += 1
        new = f"quiet_seconds = {step}.0\n"

        def change(text: str = new) -> None:
            _CHANGES[way](config, text)

        was_killed = run_child(change, step)
        found = state(config, old, new)
        print(json.dumps({"step": step, "was_killed": was_killed, **found}), flush=True)
        old = new if found["in_force"] == "new" else old


if __name__ == "__main__":
    main(Path(sys.argv[1]), Way(sys.argv[2]))
