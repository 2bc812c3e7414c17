"""What the database's errors mean: in words for readers of a page, and what helps for whoever ran a command."""

from typing import Final, NamedTuple

from django.db import Error

from config.db.reconnecting import is_unreachable


class Trouble(NamedTuple):
    """A kind of error: how PostgreSQL's codes begin, what messages without a code contain, what it is, what helps."""

    codes: tuple[str, ...]
    texts: tuple[str, ...]
    words: str
    help: str


AWAY: Final = Trouble((), (), "cannot be reached", "Does it run, and where DATABASE_URL says?")
UNIQUE_VIOLATION: Final = "23505"
BEHIND: Final = (
    "Rows were loaded with their ids, and the table's sequence does not know of them. "
    "Run: manage.py sqlsequencereset catalog | manage.py dbshell"
)
TOO_LARGE: Final = Trouble(
    ("54",), ("too many sql variables", "too large", "too big"), "takes no statement as large as this one", ""
)
_KNOWN: Final = (
    Trouble(
        ("42P01", "42703"),
        ("no such table", "no such column"),
        "is not set up for this version of the product",
        "Run: manage.py migrate",
    ),
    Trouble(
        ("55P03", "40"),
        ("is locked",),
        "is held by another program",
        "Run the command again when that is through.",
    ),
    Trouble(
        ("53300",),
        ("too many clients", "connection slots", "no more connections"),
        "has no connection left",
        "Run the command again with fewer processes beside it, or raise the server's limit of connections.",
    ),
    Trouble(("57014",), (), "ended a statement that took too long", ""),
    Trouble(("53100",), ("is full", "no space left"), "has no space left on its disk", "Make room first."),
    Trouble(("25006",), ("readonly", "read-only"), "takes no writes", "Is it a replica? See DATABASE_URL."),
    TOO_LARGE,
)


def find_trouble(error: BaseException | None) -> Trouble | None:
    """Return what the error says of the database, or None for one that says what is wrong with a value or statement."""
    if not isinstance(error, Error):
        return None
    code, text = getattr(error.__cause__, "pgcode", None) or "", str(error).lower()
    for trouble in _KNOWN:
        if code.startswith(trouble.codes) if code else any(part in text for part in trouble.texts):
            return trouble
    return AWAY if is_unreachable(error) else None


def explain(error: Error) -> str:
    """Return the error as sentences of a command: the database's own, what that means, and what helps against it."""
    trouble = find_trouble(error)
    text = str(error).strip()
    if getattr(error.__cause__, "pgcode", None) == UNIQUE_VIOLATION and "_pkey" in text:
        return f"{text}. {BEHIND}"
    return f"{text}. The database {trouble.words}. {trouble.help}".strip() if trouble else text
