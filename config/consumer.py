"""How a worker takes messages: what is no task of ours is refused as `config.broker` does, in one line.

And a broker that refuses something, as Redis does that is full or a replica, is asked again after a moment.
"""

import time
from collections.abc import Callable
from typing import Any, NoReturn

from celery.worker.consumer import Consumer

from config.broker import UnreadableMessageError

PAUSE_SECONDS = 1.0


class SteadyConsumer(Consumer):
    """Celery's consumer without its own answers, which fill the log with a traceback and the whole message.

    Nor does it connect again at once after a refusal, five times a second.
    """

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        """Return what takes a message; the limits that one may bring are not ours, and are read when it is too late."""
        handle = super().create_task_handler(*arguments, **options)

        def handle_without_limits(message: Any) -> Any:
            message.headers.pop("timelimit", None)
            return handle(message)

        return handle_without_limits

    def on_unknown_message(self, body: Any, message: Any) -> NoReturn:
        """Refuse what names no task."""
        raise UnreadableMessageError("expected the name of a task, got none")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> NoReturn:
        """Refuse a task that there is not."""
        raise UnreadableMessageError(f"there is no task of the name {exc}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> NoReturn:
        """Refuse a task whose message lacks something."""
        raise UnreadableMessageError(str(exc)) from exc

    def on_decode_error(self, message: Any, exc: Exception) -> NoReturn:
        """Refuse what is not written in the way that it says."""
        raise UnreadableMessageError(str(exc)) from exc

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Say so, and wait a moment."""
        super().on_connection_error_before_connected(exc)
        time.sleep(PAUSE_SECONDS)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Say so, give back what is in hand, and wait a moment."""
        super().on_connection_error_after_connected(exc)
        time.sleep(PAUSE_SECONDS)
