"""A database of the last release becomes one of this: nothing is lost, and it looks like a new one.

The rows are written by SQL, as they stand in the tables of people who run the release.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor

# All migrations one after the other, on a machine that may have other work.
pytestmark = [pytest.mark.both_databases, pytest.mark.long, pytest.mark.timeout(900)]

RELEASED = [("catalog", "0003_search_by_parts"), ("classifier", "0008_run_steps")]
BEFORE_FILLING = [("catalog", "0005_labels_of_every_product"), ("classifier", "0010_runs_reviews_and_history")]
#: What may be interrupted lies before these.
FILLED = [("accounts", "0003_times_of_the_database"), BEFORE_FILLING[0], ("classifier", "0013_training_options")]
NOW = "2026-11-20 10:00:00+00:00"
LATER = "2026-11-21 10:00:00+00:00"
EMBEDDING = np.arange(64, dtype="<f4").tobytes()
SHA = {name: f"{number:064x}" for number, name in enumerate(("bag", "dress", "coat", "shoe"), start=1)}

#: Of an application that is installed no more.
FORMER_TOKENS = """CREATE TABLE authtoken_token (
    key varchar(40) PRIMARY KEY, created timestamp with time zone NOT NULL,
    user_id integer NOT NULL UNIQUE REFERENCES auth_user (id) DEFERRABLE INITIALLY DEFERRED
)"""
#: (table, columns, rows) in an order that the constraints allow.
ROWS: list[tuple[str, str, list[tuple[Any, ...]]]] = [
    (
        "auth_user",
        "id, username, password, is_superuser, is_staff, is_active, first_name, last_name, email, date_joined",
        [(1, "person", "!", False, False, True, "", "", "", NOW)],
    ),
    ("auth_group", "id, name", [(1, "readers")]),
    (
        "django_content_type",
        "id, app_label, model",
        [
            (101, "classifier", "productlabel"),
            (102, "classifier", "unlabelledstatus"),
            (103, "authtoken", "token"),
            (104, "authtoken", "tokenproxy"),
        ],
    ),
    (
        "auth_permission",
        "id, name, content_type_id, codename",
        [
            (201, "Can view product label", 101, "view_productlabel"),
            (202, "Can view Token", 103, "view_token"),
            (203, "Can add Token", 104, "add_tokenproxy"),
            (204, "Can view Token", 104, "view_tokenproxy"),
            (205, "Can delete Token", 104, "delete_tokenproxy"),
        ],
    ),
    ("auth_user_user_permissions", "user_id, permission_id", [(1, 201)]),
    ("auth_group_permissions", "group_id, permission_id", [(1, number) for number in range(201, 206)]),
    (
        "django_admin_log",
        "id, action_time, object_id, object_repr, action_flag, change_message, content_type_id, user_id",
        [
            (1, NOW, "1", "label", 2, "Changed.", 101, 1),
            (2, NOW, "1", "0123456789abcdef", 1, "Added.", 104, 1),
            (3, NOW, "0123456789abcdef", "0123456789abcdef", 3, "", 103, 1),
        ],
    ),
    ("authtoken_token", "key, created, user_id", [("0123456789abcdef", NOW, 1)]),
    ("product", "id, title", [(number, f"Product {number}") for number in range(1, 9)]),
    ("image", "id, url", [(number, f"https://shop.example/{number}.jpg") for number in range(1, 8)]),
    (
        "productimages",
        "id, productid, imageid, imageindex",
        # Product 6 shows nothing, product 8 has an image at index 1 alone; 1 and 7 share an image.
        [(1, 1, 1, 0), (2, 2, 2, 0), (3, 3, 3, 0), (4, 4, 4, 0), (5, 5, 5, 0), (7, 7, 1, 0), (8, 8, 6, 1)],
    ),
    (
        "catalog_storedpicture",
        "id, image_id, sha256, storage_name, etag, last_modified, width, height, fetched_at",
        [
            (number, number, SHA[name], f"pictures/{number}.jpg", "", "", 60, 80, NOW)
            for number, name in ((1, "bag"), (2, "coat"), (3, "shoe"))
        ],
    ),
    (
        "classifier_modelversion",
        "id, name, folder, manifest_sha256, recipe, seed, metrics, stage, created_at, activated_at",
        [
            (1, "old", "a", "a" * 64, "default", 1, "{}", "retired", NOW, NOW),
            (2, "new", "b", "b" * 64, "default", 1, "{}", "active", NOW, LATER),
            (3, "next", "c", "c" * 64, "default", 1, "{}", "candidate", NOW, None),
        ],
    ),
    (
        "classifier_labellingrun",
        "id, model_version_id, state, relabel, total, taken_until, takes_until, closing, created_at, finished_at",
        [
            (1, 2, "done", False, 4, 7, 7, False, NOW, LATER),
            (2, 2, "running", False, 2, 5, 7, False, NOW, None),
            (3, 2, "cancelled", True, 1, 7, 7, True, NOW, LATER),
        ],
    ),
    ("classifier_runselection", "run_id, image_ids", [(2, json.dumps([2, 5, 6, 7]))]),
    (
        "classifier_labeltask",
        "id, image_id, model_version_id, run_id, state, attempts, crashes, next_try_at, error_code, last_failed_at",
        [
            (1, 1, 2, 1, "done", 1, 0, NOW, "", None),
            (2, 2, 2, 1, "done", 1, 0, NOW, "", None),
            (3, 3, 2, 1, "done", 1, 0, NOW, "", None),
            (4, 4, 2, 1, "failed", 6, 0, NOW, "http_4xx", LATER),
            (5, 5, 2, 2, "new", 0, 0, NOW, "", None),
            (6, 6, 2, 3, "new", 0, 0, NOW, "", None),
        ],
    ),
    (
        "classifier_classification",
        'id, image_id, model_version_id, run_id, sha256, "group", garment, confidence, abstained, '
        "garment_probabilities, embedding, created_at",
        [
            (1, 1, 2, 1, SHA["bag"], "Bags", "Bag", 0.9, False, "[]", EMBEDDING, NOW),
            (2, 2, 2, 1, SHA["coat"], "Upper part", "Coat", 0.5, True, "[]", b"", NOW),
            (3, 3, 2, 1, SHA["shoe"], "Footwear", "Sneaker", 0.8, False, "[]", b"", NOW),
            (4, 3, 1, 3, SHA["dress"], "One piece", "Dress", 0.8, False, "[]", EMBEDDING, NOW),
        ],
    ),
    (
        "classifier_review",
        'id, image_id, "group", garment, reviewer_id, note, created_at',
        [(1, 3, "Footwear", "Sandal", 1, "", LATER), (2, 5, "Bags", "", 1, "without a picture", LATER)],
    ),
    (
        "classifier_reviewrun",
        'id, "group", note, requested_by_id, state, total, done, skipped, created_at',
        [(1, "Bags", "", 1, "running", 5, 0, 0, NOW)],
    ),
    ("classifier_reviewpart", "id, run_id, image_ids", [(1, 1, "[1, 2]"), (2, 1, "[3, 4, 5]")]),
    (
        "classifier_trainingrun",
        "id, recipe, seed, activate, exclusive, state, cancel_requested, progress, error, created_at",
        [(1, "default", 1, False, False, "failed", False, "{}", "ValueError: no", NOW)],
    ),
    (
        "classifier_productlabel",
        'product_id, image_id, "group", garment, confidence, status, source, model_version_id, classification_id, '
        "review_id, labelled_at",
        [
            (1, 1, "Bags", "Bag", 0.9, "labelled", "machine", 2, 1, None, NOW),
            (2, 2, "Upper part", "Coat", 0.5, "needs_review", "machine", 2, 2, None, NOW),
            (3, 3, "Footwear", "Sandal", 1.0, "reviewed", "person", 2, 3, 1, LATER),
            (4, 4, "", "", None, "failed", "machine", None, None, None, LATER),
            (7, 1, "Bags", "Bag", 0.9, "labelled", "machine", 2, 1, None, NOW),
        ],
    ),
]
#: Tables whose rows stay as they are, in the columns they had.
UNTOUCHED = [
    table
    for table, _, _ in ROWS
    if table
    not in (
        "django_content_type",
        "auth_permission",
        "auth_group_permissions",
        "django_admin_log",
        "authtoken_token",
        "classifier_runselection",
        "classifier_reviewpart",
        "classifier_productlabel",
    )
]


@contextmanager
def made_database(alias: str, folder: Path, *, copied: Any = None) -> Iterator[Any]:
    """Give a connection to a new database beside the tests' own: an empty one, or a copy of one that nobody uses."""
    settings = {**connections.settings[DEFAULT_DB_ALIAS]}
    if settings["ENGINE"].endswith("sqlite3"):
        settings["NAME"] = str(folder / f"{alias}.sqlite3")
        if copied is not None:
            shutil.copy(copied.settings_dict["NAME"], settings["NAME"])
    else:
        settings["NAME"] = f"{alias}_{uuid.uuid4().hex}"
        template = "template0" if copied is None else copied.settings_dict["NAME"]
        with connections[DEFAULT_DB_ALIAS].creation._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {settings['NAME']} TEMPLATE {template}")
    connections.settings[alias] = settings
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        if connections[alias].vendor == "postgresql":
            with connections[DEFAULT_DB_ALIAS].creation._nodb_cursor() as cursor:
                cursor.execute(f"DROP DATABASE {settings['NAME']} WITH (FORCE)")
        del connections.settings[alias]
        delattr(connections._connections, alias)


@pytest.fixture(scope="module")
def released(django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A database of the last release with rows, to be copied; made after the tests' own, which it is not to be."""
    with django_db_blocker.unblock(), made_database("released", tmp_path_factory.mktemp("released")) as connection:
        migrate(connection, RELEASED)
        fill(connection)
        connection.close()
        yield connection


@pytest.fixture(scope="module")
def filled(released: Any, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A copy of it in which the first migrations, which write most, came to their end."""
    folder = tmp_path_factory.mktemp("filled")
    with django_db_blocker.unblock(), made_database("filled", folder, copied=released) as connection:
        migrate(connection, FILLED)
        connection.close()
        yield connection


@pytest.fixture(scope="module")
def rows_when_filled(filled: Any) -> dict[str, list[str]]:
    rows = read_all(filled)
    filled.close()  # to be copied
    return rows


@pytest.fixture(scope="module")
def migrated(filled: Any, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A copy of that in which all did."""
    folder = tmp_path_factory.mktemp("migrated")
    with django_db_blocker.unblock(), made_database("migrated", folder, copied=filled) as connection:
        migrate(connection)
        yield connection


def migrate(connection: Any, targets: list[tuple[str, str]] | None = None) -> None:
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    others = [leaf for leaf in leaves if leaf[0] not in ("accounts", "catalog", "classifier")]
    executor.migrate(leaves if targets is None else [*others, *targets])
    if targets is None:
        emit_post_migrate_signal(verbosity=0, interactive=False, db=connection.alias)


def fill(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FORMER_TOKENS)
        for table, columns, rows in ROWS:
            marks = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def read(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return [
            tuple(bytes(cell) if isinstance(cell, memoryview) else cell for cell in row) for row in cursor.fetchall()
        ]


def read_columns(connection: Any, table: str, columns: str) -> list[tuple[Any, ...]]:
    return read(connection, f"SELECT {columns} FROM {table} ORDER BY 1, 2")


def describe(connection: Any) -> dict[str, Any]:
    """Return the tables with their columns, indexes and constraints, whatever the database named of itself."""
    schema = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            columns = {
                (column.name, column.type_code, column.null_ok)
                for column in connection.introspection.get_table_description(cursor, table)
            }
            constraints = connection.introspection.get_constraints(cursor, table).values()
            keys = {
                (tuple(c["columns"]), c["primary_key"], c["unique"], c["foreign_key"], c["index"]) for c in constraints
            }
            schema[table] = (columns, keys)
    return schema


def read_all(connection: Any) -> dict[str, list[str]]:
    """Return the rows of every table, without the times at which they were written and the numbers they were given."""
    tables = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table != "django_migrations":
                described = connection.introspection.get_table_description(cursor, table)
                names = ", ".join(
                    sorted(f'"{c.name}"' for c in described if c.name != "id" and not c.name.endswith("_at"))
                )
                tables[table] = sorted(map(repr, read(connection, f"SELECT {names} FROM {table}")))
    return tables


def test_migrations_that_were_interrupted_end_as_if_they_had_not_been(
    released: Any, rows_when_filled: Any, django_db_blocker: Any, tmp_path: Path
) -> None:
    writes = allowed = 0

    def interrupt(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal writes
        is_write = sql.startswith(("UPDATE c", "INSERT INTO c", "DELETE FROM classifier_r", "DROP"))
        writes += is_write
        # Not what the end of a migration asks of SQLite, before it rolls back.
        if is_write and writes > allowed:
            raise Error("interrupted")
        return execute(sql, *arguments)

    with django_db_blocker.unblock(), made_database("aged", tmp_path, copied=released) as connection:
        migrate(connection, BEFORE_FILLING)
        for number in (1, 5, 9):
            writes, allowed = 0, number
            with pytest.raises(Error, match="interrupted"), connection.execute_wrapper(interrupt):
                migrate(connection, FILLED)
        migrate(connection, FILLED)
        assert read_all(connection) == rows_when_filled


def test_a_database_of_the_last_release_keeps_everything(released: Any, migrated: Any) -> None:
    connection = migrated
    columns = {table: names.replace("embedding, ", "").replace("stage, ", "") for table, names, _ in ROWS}
    before = {table: read_columns(released, table, columns[table]) for table in UNTOUCHED}
    # Of permissions there are more than those: Django adds what is missing.
    after = {table: read_columns(connection, table, columns[table]) for table in UNTOUCHED}
    assert {table: [row for row in rows if row in before[table]] for table, rows in after.items()} == before

    labels = read(
        connection,
        'SELECT product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id, '
        "classification_id, review_id FROM classifier_productlabel ORDER BY product_id",
    )
    assert labels == [
        (1, 1, "Bags", "Bag", 0.9, "labelled", "machine", "", 2, 1, None),
        (2, 2, "Upper part", "Coat", 0.5, "needs_review", "machine", "unsure", 2, 2, None),
        (3, 3, "Footwear", "Sandal", 1.0, "reviewed", "person", "", 2, 3, 1),
        (4, 4, "", "", None, "failed", "", "http_4xx", None, None, None),
        (5, 5, "", "", None, "pending", "", "", None, None, None),
        (6, None, "", "", None, "no_image", "", "", None, None, None),
        (7, 1, "Bags", "Bag", 0.9, "labelled", "machine", "", 2, 1, None),
        (8, None, "", "", None, "no_image", "", "", None, None, None),
    ]
    assert read(connection, "SELECT image_id, url FROM catalog_storedpicture ORDER BY 1") == [
        (number, f"https://shop.example/{number}.jpg") for number in (1, 2, 3)
    ]
    assert read(connection, "SELECT id, appearance, url FROM classifier_review ORDER BY 1") == [
        (1, SHA["shoe"], "https://shop.example/3.jpg"),
        (2, "", "https://shop.example/5.jpg"),
    ]
    assert read(connection, "SELECT run_id, image_id FROM classifier_selectedimage ORDER BY 1, 2") == [(2, 6), (2, 7)]
    assert read(connection, "SELECT id FROM classifier_labellingrun WHERE selected") == [(2,)]
    assert read(connection, "SELECT run_id, image_id FROM classifier_imagetoreview ORDER BY 1, 2") == [
        (1, number) for number in range(1, 6)
    ]
    # Of what versions saw stays what is of a picture that we hold, and is an embedding.
    features = "SELECT base_id, sha256, features, logits, views FROM classifier_picturefeatures"
    ((base_id, sha256, numbers, *unknown),) = read(connection, features)
    assert (bytes(sha256).hex(), bytes(numbers)) == (SHA["bag"], np.arange(64, dtype="<f2").tobytes())
    assert unknown == [None, 0]
    named = read_columns(connection, "classifier_base", "id, name, digest")
    assert [row for row in named if row[0] == base_id] == [(base_id, "new", b"\xbb" * 32)]
    assert read(connection, "SELECT count(DISTINCT base_id) FROM classifier_modelversion") == [(3,)]
    stages = read(connection, "SELECT stage FROM classifier_modelversion ORDER BY id")
    assert stages == [("retired",), ("production",), ("candidate",)]
    came = "SELECT id FROM classifier_modelversion WHERE first_activated_at = activated_at ORDER BY id"
    assert read(connection, came) == [(1,), (2,)]
    assert read(connection, "SELECT app_label, model FROM django_content_type WHERE id IN (101, 102)") == [
        ("catalog", "productlabel")
    ]
    assert read(connection, "SELECT count(*) FROM auth_permission WHERE codename = 'view_productlabel'") == [(1,)]
    assert read(connection, "SELECT permission_id FROM auth_group_permissions ORDER BY 1") == [(201,), (204,), (205,)]
    assert read(connection, "SELECT codename, content_type_id FROM auth_permission WHERE id > 201 AND id < 206") == [
        ("view_token", 104),
        ("delete_token", 104),
    ]
    assert read(connection, "SELECT app_label, model FROM django_content_type WHERE id IN (103, 104)") == [
        ("accounts", "token")
    ]
    entries = "SELECT object_id, object_repr, content_type_id FROM django_admin_log ORDER BY id"
    assert read(connection, entries) == [("1", "label", 101), (None, "Token", 104), (None, "Token", 104)]
    digest = hashlib.sha256(b"0123456789abcdef").hexdigest()
    tokens = read(connection, "SELECT user_id, sha256, created_at, expires_at FROM accounts_token")
    assert [(user, sha256, str(made)[:19], end) for user, sha256, made, end in tokens] == [(1, digest, NOW[:19], None)]
    tables = connection.introspection.table_names()
    gone = {"authtoken_token", "classifier_unlabelledstatus", "classifier_runselection", "classifier_reviewpart"}
    assert not gone & set(tables)


@pytest.fixture(scope="module")
def migrated_schema(migrated: Any) -> dict[str, Any]:
    return describe(migrated)


@pytest.mark.django_db
def test_a_new_database_looks_like_one_of_the_last_release_that_was_migrated(migrated_schema: dict[str, Any]) -> None:
    assert migrated_schema == describe(connections[DEFAULT_DB_ALIAS])
