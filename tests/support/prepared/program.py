"""A program that is to be started, and how its start travels to the process that forks it."""

import os
import pickle
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

_MODULES = {
    "node.cli",
    "node.processes.child_process",
    "pacs_listener",
    "tests.support.processes.dying_worker",
    "tests.support.processes.killed_backup",
    "tests.support.processes.killed_request",
}
_MAX_BYTES = 200_000
_MAX_DESCRIPTORS = 32
# Of the command line, as the kernel shows it: the forked process writes its own over this much.
MAX_COMMAND_BYTES = 2000
_PID = struct.Struct("=i")


@dataclass(frozen=True)
class Program:
    """What `python ARGUMENTS` needs to start.

    The sender passes one file descriptor for each number in `descriptors`, which is the number that
    it has in the program. `process_group` is -1 for that of the parent.
    """

    arguments: tuple[str, ...]
    environment: dict[bytes, bytes]
    folder: str
    descriptors: tuple[int, ...]
    new_session: bool
    process_group: int

    @property
    def module(self) -> str:
        """The module that runs."""
        return self.arguments[self.arguments.index("-m") + 1]

    @property
    def module_arguments(self) -> tuple[str, ...]:
        """The arguments of the module."""
        return self.arguments[self.arguments.index("-m") + 2 :]

    @property
    def starts_others(self) -> bool:
        """Whether the program starts other programs of the node."""
        return self.module == "node.cli" or "node.processes.worker" in self.arguments

    @property
    def command_line(self) -> bytes:
        """The command line, as in `/proc/PID/cmdline`."""
        return b"".join(os.fsencode(word) + b"\0" for word in (sys.executable, *self.arguments))

    def send(self, connection: socket.socket, handles: Sequence[int]) -> int:
        """Has the process at the other end fork the program; returns its process id.

        Raises:
            OSError: the other process has ended.
        """
        socket.send_fds(connection, [pickle.dumps(self)], handles)
        answer = connection.recv(_PID.size)
        if not answer:
            raise ConnectionResetError("the process that forks programs has ended")
        return int(_PID.unpack(answer)[0])

    @classmethod
    def receive(cls, connection: socket.socket) -> tuple[Self, list[int]] | None:
        """Receives the next program and its file descriptors; None after the last one."""
        data, handles, _, _ = socket.recv_fds(connection, _MAX_BYTES, _MAX_DESCRIPTORS)
        return (pickle.loads(data), handles) if data else None  # noqa: S301 our own process sends it


def answer(connection: socket.socket, process: int) -> None:
    """Tells the sender the process id of the program."""
    connection.send(_PID.pack(process))


def can_be_forked(command: Sequence[str]) -> bool:
    """Whether a command starts a program of the node, or one like it for a test, by its module."""
    options = ["-P", "-m"] if "-P" in command[1:2] else ["-m"]
    module = command[1 + len(options) : 2 + len(options)]
    return (
        command[0] == sys.executable
        and list(command[1 : 1 + len(options)]) == options
        and set(module) <= _MODULES
        and sum(len(os.fsencode(word)) + 1 for word in command) <= MAX_COMMAND_BYTES
    )
