"""What a line of the log looks like, in words or as JSON, and what is known about the work that wrote it.

Loads no Django: Gunicorn's own lines are of the same form, and its main process never loads the site.
"""

import json
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

#: The request or task at work: what each of its lines says besides. A callable is asked when a line is written.
log_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=MappingProxyType({}))

#: What would begin a line of its own, or move the cursor of a terminal.
_CONTROLS = {number: f"\\x{number:02x}" for number in [*range(32), *range(127, 160), 0x2028, 0x2029]}


def build_logging(*, form: str, level: str) -> dict[str, Any]:
    """Return the configuration of Python's logging: everything on standard error; raise `ValueError` for a bad form."""
    if form not in ("line", "json"):
        raise ValueError(f"Expected LOG_FORMAT to be line or json; it is {form!r}.")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}, "json": {"()": JSONFormatter}},
        "filters": {"refusals": {"()": RefusalFilter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form, "filters": ["refusals"]}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "gunicorn.error": {"propagate": True},
            # What it says of a sign-in in several lines stands in that of the request.
            "axes": {"level": "ERROR"},
        },
    }


def find_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record says beside its message, by name; what is not known is left out."""
    fields = {**getattr(record, "fields", {}), **log_fields.get()}
    known = {name: value() if callable(value) else value for name, value in fields.items()}
    return {name: value for name, value in known.items() if value is not None}


class LineFormatter(logging.Formatter):
    """A line for people, with what else is known in brackets at its end; tracebacks follow on lines of their own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; no message can begin another one."""
        fields = " ".join(f"{name}={value}" for name, value in find_fields(record).items())
        return (super().formatMessage(record) + (f" [{fields}]" if fields else "")).translate(_CONTROLS)


class JSONFormatter(logging.Formatter):
    """A line that is a JSON object: `time` in UTC, `level`, `logger`, `message`, what else is known, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        document = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **find_fields(record),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


class RefusalFilter(logging.Filter):
    """Leaves out what Django says of a request that it refused, which is no fault: the request's own line says it.

    Otherwise a page that somebody may not see is a traceback, and a foreign Host header two lines and another one.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record stays; the reason of a refusal is left on its request, as `refusal`."""
        if not record.name.startswith(("django.request", "django.security")):
            return True
        if getattr(record, "status_code", 500) >= 500:
            return True
        if record.name.startswith("django.security"):
            record.request.refusal = record.getMessage()  # type: ignore[attr-defined]  # Django's `extra`
        return False
