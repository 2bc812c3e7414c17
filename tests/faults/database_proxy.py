"""A proxy in front of PostgreSQL that loses the connection around the COMMIT of a batch."""

import os
import shutil
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

SOCKET_NAME = ".s.PGSQL.5432"
BATCH = b'COPY "classifier_classification"'


class DatabaseProxy:
    """Listens on a Unix socket in `folder` and hands everything on, until `cuts` commits of a batch were cut off.

    With `after` the server gets the COMMIT and the client never hears of it; without, the server never gets it.
    """

    def __init__(self, upstream: str, *, cuts: int, after: bool) -> None:
        self.upstream = upstream
        self.after = after
        self.cuts_left = cuts
        self.folder = tempfile.mkdtemp(prefix="test-proxy-")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.folder, SOCKET_NAME))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        self.listener.close()
        shutil.rmtree(self.folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(Path(self.upstream) / SOCKET_NAME))
            threading.Thread(target=self._serve, args=(client, server), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Hand on what the client says; watch for the COMMIT that follows the writing of a batch."""
        with suppress(OSError):
            self._hand_on(client, server)
        # Also when the client was killed, or its session would stay on the server.
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        batch_written = False
        while data := client.recv(65536):
            batch_written = batch_written or BATCH in data
            if batch_written and b"COMMIT" in data and self.cuts_left:
                self.cuts_left -= 1
                # The client first, so that no answer can reach it.
                client.shutdown(socket.SHUT_RDWR)
                if self.after:
                    server.sendall(data)
                return
            batch_written = batch_written and b"COMMIT" not in data
            server.sendall(data)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            with suppress(OSError):
                target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
