"""The server of a web application on one port, as the web process of a node runs it."""

import socket

import uvicorn
from fastapi import FastAPI

from node.web.server.ports import WebPort
from node.web.server_config import server_config


class WebServer(uvicorn.Server):
    """Serves an application by HTTP, or by HTTPS where its port has a certificate."""

    def __init__(self, app: FastAPI, port: WebPort) -> None:
        super().__init__(server_config(app))
        self._port = port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See `uvicorn.Server`."""
        await super().startup(sockets=[])
        self.servers = [await self._port.serve(self)]
