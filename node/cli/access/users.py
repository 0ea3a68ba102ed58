"""`segnode users`: the accounts of the console and of the APIs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.audit.operator_records import now, operator
from node.cli.jobs import JsonOption, open_store
from node.cli.options import ConfigOption
from node.domain.access.external_users import composed
from node.domain.access.permissions import Role

if TYPE_CHECKING:
    from node.domain.access.users import User
    from node.store import Store

app = typer.Typer(no_args_is_help=True, help="Users of the console and of the APIs.")

NameArgument = Annotated[str, typer.Argument(help="User name.")]
RoleOption = Annotated[Role, typer.Option("--role", "-r", help="What the user may do.")]


@app.command("list")
def list_users(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the users with their roles.

    Example: segnode users list --json
    """
    with open_store(config) as store:
        users = store.list_users()
    if as_json:
        typer.echo(json.dumps([asdict(user) for user in users], default=str, indent=2))
        return
    for user in users:
        typer.echo(_line(user))
    if not users:
        typer.echo("There are no users. Add an administrator: segnode users add NAME")


@app.command()
def add(name: NameArgument, role: RoleOption = Role.VIEWER, config: ConfigOption = None) -> None:
    """Add a user; prints a one-time code, with which the user sets a password in the console.

    Example: segnode users add jdoe --role operator
    """
    from node.access.accounts import Accounts

    with open_store(config) as store:
        _print_code(Accounts(store, operator()).add(name, role, now()))


@app.command()
def role(
    name: NameArgument,
    new_role: Annotated[Role, typer.Argument(help="What the user may do.")],
    config: ConfigOption = None,
) -> None:
    """Give a user another role; the user must log in again.

    Example: segnode users role jdoe administrator
    """
    from node.access.accounts import Accounts

    with open_store(config) as store:
        Accounts(store, operator()).change_role(_known(store, name), new_role, now())
    typer.echo(f"{name} is {new_role}.")


@app.command()
def disable(name: NameArgument, config: ConfigOption = None) -> None:
    """Keep a user from logging in, and end the user's sessions.

    Example: segnode users disable jdoe
    """
    from node.access.accounts import Accounts

    with open_store(config) as store:
        Accounts(store, operator()).disable(_known(store, name), now())
    typer.echo(f"{name} is disabled.")


@app.command()
def enable(name: NameArgument, config: ConfigOption = None) -> None:
    """Let a disabled user log in again.

    Example: segnode users enable jdoe
    """
    from node.access.accounts import Accounts

    with open_store(config) as store:
        Accounts(store, operator()).enable(_known(store, name), now())
    typer.echo(f"{name} is enabled.")


@app.command()
def reset(
    name: NameArgument,
    second_factor: Annotated[
        bool,
        typer.Option("--second-factor", help="Remove the second factor; the password stays."),
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Remove a user's password, or with --second-factor the second factor instead.

    Without a password, the user sets a new one with the one-time code that is printed. It also
    ends the user's sessions, and a waiting time after failed logins.

    Example: segnode users reset jdoe --second-factor
    """
    from node.access.accounts import Accounts

    with open_store(config) as store:
        accounts = Accounts(store, operator())
        if not second_factor:
            _print_code(accounts.reset_password(_known(store, name), now()))
            return
        accounts.remove_second_factor(_known(store, name), now())
    typer.echo(f"{name} has no second factor any more, and the same password as before.")


def _known(store: "Store", name: str) -> str:
    return store.get_user(composed(name)).name


def _print_code(code: str) -> None:
    typer.echo(f"One-time code: {code}")
    typer.echo("It sets the password at /set-password in the console, once, within 24 hours.")


def _line(user: "User") -> str:
    is_new = not user.has_password and not user.is_external
    state = ", disabled" if user.is_disabled else ", no password yet" if is_new else ""
    factor = ", second factor" if user.has_second_factor else ""
    last = "never logged in"
    if user.last_login_at is not None:
        last = f"last login {user.last_login_at:%Y-%m-%d %H:%M} UTC"
    return f"{user.name:<24} {user.role}{state}{factor}, {last}"
