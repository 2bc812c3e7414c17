"""The broker as senders see it: how long a queue is, and which errors say that nobody can be reached."""

from typing import Any

from celery import current_app
from kombu.exceptions import ChannelError, OperationalError


def count_messages(queue: str) -> int:
    """Return how many messages wait on the queue; those that a worker holds are not among them.

    Raises one of `broker_errors`.
    """
    connections: Any = current_app.pool  # its types speak of producers
    with connections.acquire(block=True) as broker:
        try:
            return int(broker.default_channel.queue_declare(queue, passive=True).message_count)
        except ChannelError:  # Redis knows no empty queue
            return 0


def broker_errors() -> tuple[type[BaseException], ...]:
    """Return the errors of a broker that is away, full or read-only."""
    broker = current_app.connection_for_write()
    return (OperationalError, *broker.connection_errors, *broker.channel_errors)
