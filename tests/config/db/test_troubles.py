"""What an error of the database means, and what helps: what happened, and nothing that did not."""

from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, IntegrityError, OperationalError, ProgrammingError, connection

from catalog.models import Product
from config.db.troubles import AWAY, TOO_LARGE, explain, find_trouble


class CodedError(Exception):
    """An error of the driver, which bears PostgreSQL's code."""

    def __init__(self, code: str) -> None:
        self.pgcode = code


def fail_by_code(error: Exception, code: str) -> Exception:
    """Return the error as Django wraps one of PostgreSQL's with this code."""
    error.__cause__ = CodedError(code)
    return error


@pytest.mark.parametrize(
    "error, words",
    [
        (OperationalError("no such table: product"), "is not set up"),
        (fail_by_code(ProgrammingError('relation "product" does not exist'), "42P01"), "is not set up"),
        (OperationalError("database is locked"), "is held by another program"),
        (fail_by_code(OperationalError("canceling statement due to lock timeout"), "55P03"), "is held by another"),
        (fail_by_code(OperationalError("deadlock detected"), "40P01"), "is held by another"),
        (OperationalError("connection failed: FATAL:  sorry, too many clients already"), "has no connection left"),
        (OperationalError("FATAL:  remaining connection slots are reserved"), "has no connection left"),
        (fail_by_code(OperationalError("canceling statement due to statement timeout"), "57014"), "took too long"),
        (OperationalError("database or disk is full"), "has no space left"),
        (fail_by_code(OperationalError("could not extend file"), "53100"), "has no space left"),
        (fail_by_code(OperationalError("cannot execute INSERT"), "25006"), "takes no writes"),
        (OperationalError("attempt to write a readonly database"), "takes no writes"),
        (fail_by_code(OperationalError("stack depth limit exceeded"), "54001"), "as large as this one"),
        (OperationalError("connection refused"), "cannot be reached"),
        (fail_by_code(OperationalError("terminating connection"), "57P01"), "cannot be reached"),
    ],
)
def test_an_error_is_called_what_it_is(error: Any, words: str) -> None:
    trouble = find_trouble(error)
    assert trouble is not None
    assert words in trouble.words


@pytest.mark.parametrize(
    "error",
    [
        fail_by_code(DataError("value too long for type character varying(100)"), "22001"),
        fail_by_code(IntegrityError("duplicate key"), "23505"),
        ValueError("database is locked"),
        None,
    ],
)
def test_what_is_wrong_with_a_value_is_no_trouble_of_the_database(error: Any) -> None:
    assert find_trouble(error) is None


def test_a_command_is_told_what_helps_and_nothing_where_nothing_does() -> None:
    assert explain(OperationalError("no such table: product")).endswith("Run: manage.py migrate")
    assert "migrate" not in explain(OperationalError("database is locked"))
    too_long = DataError("value too long")
    assert explain(too_long) == "value too long"
    behind = fail_by_code(IntegrityError('duplicate key value violates unique constraint "image_pkey"'), "23505")
    assert explain(behind).endswith("Run: manage.py sqlsequencereset catalog | manage.py dbshell")
    assert explain(OperationalError("refused")) == f"refused. The database {AWAY.words}. {AWAY.help}"


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_table_that_is_missing_is_one_on_this_database() -> None:
    with pytest.raises((OperationalError, ProgrammingError)) as error, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM no_such_table")
    assert explain(error.value).endswith("Run: manage.py migrate")


@pytest.mark.django_db
def test_a_statement_that_is_too_large_is_one_on_sqlite() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL takes it")
    with pytest.raises(OperationalError) as error:
        list(Product.objects.filter(pk__in=range(300_000)))
    assert find_trouble(error.value) is TOO_LARGE


@pytest.mark.django_db
@pytest.mark.both_databases
def test_a_command_says_so_and_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("classifier.management.commands.label_catalog.start_labelling_run", fail)
    with pytest.raises(CommandError, match=r"^database is locked\. The database is held by another program\. Run"):
        call_command("label_catalog")
