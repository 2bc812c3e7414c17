"""Waiting for a database that is away."""

import time

import pytest
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError, connection

from config.db import reconnecting
from config.db.reconnecting import retry_while_unreachable

pytestmark = pytest.mark.both_databases


class Flaky:
    """An operation that fails a number of times before it succeeds."""

    def __init__(self, failures: int, *, error: type[Exception] = OperationalError) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error("server closed the connection unexpectedly")
        return "done"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "PAUSE_SECONDS", 0.0)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError, DatabaseError])
@pytest.mark.django_db(transaction=True)
def test_an_operation_is_repeated_on_a_new_connection_until_it_succeeds(error: type[Exception]) -> None:
    connection.ensure_connection()
    operation = Flaky(2, error=error)
    assert retry_while_unreachable(operation) == "done"
    assert operation.calls == 3
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_patience_ends_with_the_databases_error(settings) -> None:
    settings.LABELLING_RECONNECT_SECONDS = 0.0
    operation = Flaky(5)
    with pytest.raises(OperationalError, match="server closed"):
        retry_while_unreachable(operation)
    assert operation.calls == 1


@pytest.mark.django_db(transaction=True)
def test_patience_begins_with_the_first_failure(settings) -> None:
    settings.LABELLING_RECONNECT_SECONDS = 0.2
    flaky = Flaky(1)

    def work_long() -> str:
        time.sleep(0.3)
        return flaky()

    assert retry_while_unreachable(work_long) == "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [DataError, IntegrityError, ValueError])
def test_an_error_of_another_kind_is_not_repeated(error: type[Exception]) -> None:
    operation = Flaky(5, error=error)
    with pytest.raises(error, match="server closed"):
        retry_while_unreachable(operation)
    assert operation.calls == 1


@pytest.mark.django_db
def test_inside_a_transaction_the_error_passes_at_once() -> None:
    operation = Flaky(1)
    with pytest.raises(OperationalError):
        retry_while_unreachable(operation)
    assert operation.calls == 1
