"""The transports under Celery: kombu's own, mended where they lose a message or end the worker that meets it.

A message that cannot be read is refused in one line of the log. Nothing is lost by it: what has to be done stands in
the database, and the sweep sends it again.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any
from urllib.parse import quote, unquote

from celery.worker.state import maybe_shutdown
from kombu.exceptions import ChannelError
from kombu.transport import filesystem, redis
from kombu.utils.json import dumps, loads

from config.files import write_file

logger = logging.getLogger(__name__)

#: The transports by the scheme of a broker's URL, for kombu's `TRANSPORT_ALIASES`.
TRANSPORTS = {
    "filesystem": "config.broker:FileTransport",
    "redis": "config.broker:RedisTransport",
    "rediss": "config.broker:RedisTransport",
}


class UnreadableMessageError(ValueError):
    """A message is not what a worker expects; the text says what came."""


class RefusingChannel:
    """Goes before one of kombu's channels: whatever a message brings about while it is taken, it is only refused."""

    connection: Any

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], consumer_tag: str, **options: Any
    ) -> None:
        """Consume from the queue; `callback` gets what can be read."""

        def take(message: Any) -> None:
            try:
                callback(message)
            except Exception as error:
                if not (no_ack or message.acknowledged or self._is_broken_by(error)):
                    message.reject()
                raise

        parent: Any = super()
        parent.basic_consume(queue, no_ack, take, consumer_tag, **options)
        deliver = self.connection._callbacks[queue]

        def deliver_or_refuse(envelope: Any) -> None:
            with self.refusing(queue):
                if not isinstance(envelope["properties"]["delivery_tag"], str):
                    raise UnreadableMessageError(f"expected a text as delivery tag, got {envelope['properties']}")
                deliver(envelope)

        self.connection._callbacks[queue] = deliver_or_refuse

    @contextmanager
    def refusing(self, queue: str) -> Iterator[None]:
        """Refuse the message that the block raises an error about, unless the broker itself is what is wrong."""
        try:
            yield
        except Exception as error:
            if self._is_broken_by(error):
                raise
            what = " ".join(f"{type(error).__name__}: {error}".split())
            logger.error("a message on the queue %s cannot be read and is refused: %.300s", queue, what)

    def _is_broken_by(self, error: Exception) -> bool:
        # kombu counts every KeyError as Redis' own; here it is a message that lacks something, and would come for ever.
        errors = (Empty, *self.connection.connection_errors, *self.connection.channel_errors)
        return isinstance(error, errors) and not isinstance(error, KeyError)


class RedisChannel(RefusingChannel, redis.Channel):  # type: ignore[misc]
    """Redis' channel."""

    def _brpop_read(self, **options: Any) -> bool:
        with self.refusing(", ".join(self.active_queues)):
            super()._brpop_read(**options)  # type: ignore[misc]
        return True


class RedisTransport(redis.Transport):
    """Redis' transport."""

    Channel = RedisChannel


class FileChannel(RefusingChannel, filesystem.Channel):  # type: ignore[misc]
    """A queue of files, each of which is there as a whole or not at all.

    kombu's own writes a file in place and reads it unlocked, so that a reader meets half a message and ends
    (https://github.com/celery/kombu/issues/1551), and it keeps the bindings of an exchange in one file likewise.
    """

    def _put(self, queue: str, payload: Any, **options: Any) -> None:  # type: ignore[override]
        # The names' order is that of sending, after a restart of the machine too.
        path = Path(self.data_folder_out, f"{time.time_ns()}_{uuid.uuid4()}.{queue}.msg")
        try:
            write_file(path, dumps(payload).encode())
        except OSError as error:
            raise ChannelError(f"cannot write the message {path}: {error}") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        # So a worker that waits for messages stops when it is told to, and not some seconds later.
        maybe_shutdown()
        for name in sorted(os.listdir(self.data_folder_in)):
            if name.partition(".")[2] != f"{queue}.msg":
                continue
            path = Path(self.data_folder_in, name)
            try:
                content = path.read_bytes()
                path.unlink()  # whoever does this has the message, however many have read it
            except OSError:
                continue
            with self.refusing(queue):
                return loads(content)
        raise Empty

    # A binding is an empty file by the name of its three parts, in a folder for each exchange.

    def get_table(self, exchange: str) -> list[Any]:
        """Return the bindings of the exchange."""
        with suppress(FileNotFoundError):
            names = sorted(os.listdir(self._find_bindings(exchange)))
            return [filesystem.exchange_queue_t(*map(unquote, name.split("&"))) for name in names]
        return []

    def _queue_bind(self, exchange: str, *binding: str | None) -> None:
        path = self._find_bindings(exchange, *binding)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def _delete(self, queue: str, exchange: str, *binding: str | None, **options: Any) -> None:
        self._purge(queue)
        self._find_bindings(exchange, *binding).unlink(missing_ok=True)

    def _find_bindings(self, exchange: str, *binding: str | None) -> Path:
        """Return the folder of the exchange's bindings, or the file of one."""
        folder = self.control_folder / f"{quote(exchange, safe='')}.bindings"
        return folder / "&".join(quote(part or "", safe="") for part in binding) if binding else folder


class FileTransport(filesystem.Transport):
    """The transport of the embedded product."""

    Channel = FileChannel
