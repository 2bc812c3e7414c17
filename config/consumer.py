"""How a worker takes messages: what is no task of ours is refused as `config.broker` does, in one line.

And a broker that refuses something, as Redis does that is full or a replica, is asked again after a moment.
"""

import time
from collections.abc import Callable
from inspect import signature
from typing import Any, NoReturn, get_args, get_origin

from celery.worker.consumer import Consumer

from config.broker import UnreadableMessageError

PAUSE_SECONDS = 1.0


class SteadyConsumer(Consumer):
    """Celery's consumer without its own answers, which fill the log with a traceback and the whole message.

    Nor does it connect again at once after a refusal, five times a second.
    """

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        """Return what takes a message; the limits that one may bring are not ours, and are read when it is too late.

        So are the arguments: a task that is given others than it says would end in a traceback.
        """
        handle = super().create_task_handler(*arguments, **options)

        def handle_what_fits(message: Any) -> Any:
            message.headers.pop("timelimit", None)
            if "task" not in message.headers:
                self.on_unknown_message(None, message)
            task = self.app.tasks.get(message.headers["task"])
            if task is not None:
                sent, named, _ = message.payload
                if not takes(task.run, sent, named):
                    raise UnreadableMessageError(f"{task.name} takes {signature(task.run)}, got {sent!r} and {named!r}")
            return handle(message)

        return handle_what_fits

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


def takes(function: Callable[..., Any], sent: list[Any], named: dict[str, Any]) -> bool:
    """Return whether the function can be called with these arguments, by their number, names and declared types."""
    called = signature(function)
    try:
        given = called.bind(*sent, **named).arguments
    except TypeError:
        return False
    return all(_is_a(value, called.parameters[name].annotation) for name, value in given.items())


def _is_a(value: Any, kind: Any) -> bool:
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_is_a(item, get_args(kind)[0]) for item in value)
    if kind is int:  # an id: no truth value, and none that no database holds
        return type(value) is int and 0 <= value < 2**63
    return kind is not str or isinstance(value, str)
