"""A database that is ahead of the code."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("label", ["accounts", "catalog", "classifier"])
def test_a_database_of_a_newer_release_is_refused_before_anything_is_written(label: str) -> None:
    MigrationRecorder(connection).record_applied(label, "9999_from_the_future")
    with pytest.raises(CommandError, match=rf"it has {label}\.9999_from_the_future, which this release does not know"):
        call_command("migrate", verbosity=0)


def test_what_another_package_left_behind_is_none_of_ours() -> None:
    MigrationRecorder(connection).record_applied("authtoken", "9999_gone")
    call_command("migrate", verbosity=0)
