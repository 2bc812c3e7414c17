"""What a worker makes of a message that is no task of ours: it is refused as `config.broker` does, in one line."""

from collections.abc import Callable
from typing import Any, NoReturn

from celery.worker.consumer import Consumer

from config.broker import UnreadableMessageError


class RefusingConsumer(Consumer):
    """Celery's consumer without its own answers, which fill the log with a traceback and the whole message."""

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
