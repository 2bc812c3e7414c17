"""Which test runs what the pages for operators say to type; a new command without one is noticed here."""

import re

import pytest

from tests.support.light import REPOSITORY
from tests.support.pages import list_blocks

PAGES = ("deployment.md", "containers.md", "operations.md", "upgrades.md", "scale.md")
UNITS = "tests/deploy/test_units.py::test_the_units_commands_and_those_of_the_page_make_a_site_that_serves"
COMPOSE = "tests/deploy/test_compose.py::test_each_command_runs_as_it_stands_in_the_file"
RELEASE = "tests/config/test_release.py::test_a_release_is_a_signed_tag_with_what_is_new"
LOCKS = "tests/deploy/test_files.py::test_a_lock_has_what_its_requirements_name_with_hashes"
DRILL = "tests/config/backups/test_drill.py::test_a_site_comes_back_as_it_was_and_what_was_gone_stays_gone"
CLEANED = "tests/classifier/registry/test_cleaning.py::test_the_command_says_what_it_removed"
PARTITIONS = "tests/classifier/labelling/test_partitions.py::test_labels_go_on_after_the_ledger_is_divided"
#: The beginning of a command, the longest that fits: the test that runs it, or why none does.
FLOWS = {
    ".": UNITS,
    "aws s3 sync": "tests/site/test_bucket.py::test_pictures_from_before_the_bucket_are_copied_there_as_they_lie",
    "buildah images": "not run: needs images, which are built of packages from elsewhere",
    "cd": UNITS,
    "celery -A config worker -Q labelling": UNITS,
    "celery -A config worker -Q training": UNITS,
    "celery inspect": "not run: the page says why not to",
    "cp deploy/systemd/*": "not run: needs root; " + UNITS,
    "createdb": "not run: a program of PostgreSQL's; the tests make databases by SQL",
    "createuser": "not run: a program of PostgreSQL's; the tests make roles by SQL",
    "docker buildx imagetools inspect": "not run: asks a registry",
    "docker compose": "not run: needs a container runtime; " + COMPOSE,
    "git config": RELEASE,
    "git pull": "not run: needs a repository elsewhere",
    "git verify-tag": RELEASE,
    "gunicorn config.wsgi": UNITS,
    "install -d": "not run: needs root",
    "make .venv/installed": "not run: fetches packages; " + LOCKS,
    "make audit": "not run: asks for known vulnerabilities elsewhere",
    "make base": "not run: needs root and fetches packages",
    "make demo": "not run: fetches packages; "
    "tests/classifier/management/test_demo.py::test_the_demo_labels_its_catalogue_mostly_right",
    "make deploy": "tests/deploy/test_delivery.py::test_what_is_signed_by_the_release_is_started",
    "make images": "not run: fetches packages; "
    "tests/deploy/test_compose.py::test_an_image_has_no_secret_and_any_user_may_run_it",
    "make licences": "tests/deploy/test_files.py::test_copyleft_wants_a_reason",
    "make lint": "not run: lint is no test",
    "make lint-workflows": "not run: needs zizmor; "
    "tests/deploy/test_files.py::test_a_workflow_calls_make_alone_and_foreign_actions_by_their_hash",
    "make lock": "not run: asks for packages elsewhere; " + LOCKS,
    "make old-code": "tests/site/test_old_code.py::"
    "test_an_earlier_commit_works_on_this_schema_and_one_that_wants_another_does_not",
    "make release": RELEASE,
    "make secrets": "tests/deploy/test_files.py::test_secrets_are_made_once_and_for_one_owner",
    "manage.py api_tokens": "tests/classifier/monitoring/test_operation_metrics.py::"
    "test_prometheus_asks_as_the_page_has_it_ask",
    "manage.py axes_reset_username": "tests/config/web/test_guesses.py::"
    "test_an_operator_lists_what_was_tried_and_ends_a_lock",
    "manage.py backup": DRILL,
    "manage.py check": "tests/config/test_redis_urls.py::test_the_product_does_not_start_with_it",
    "manage.py check --deploy": UNITS,
    "manage.py clean_artefacts": CLEANED,
    "manage.py clean_artefacts --sign": "tests/classifier/registry/test_services.py::"
    "test_a_key_is_exchanged_while_the_former_one_is_accepted",
    "manage.py clean_catalog": "tests/classifier/management/test_clean_catalog.py::"
    "test_a_dry_run_says_what_the_same_without_it_does",
    "manage.py createsuperuser": UNITS,
    "manage.py demo": "tests/classifier/management/test_demo.py::test_the_demo_labels_its_catalogue_mostly_right",
    "manage.py export_catalog": "tests/catalog/interchange/test_export_catalog.py::"
    "test_a_json_line_has_everything_of_a_product_and_its_label",
    "manage.py migrate": UNITS,
    "manage.py rebuild_search": "tests/catalog/search/test_search.py::"
    "test_without_the_right_to_create_extensions_search_works_and_says_what_is_missing",
    "manage.py register_model_version": UNITS,
    "manage.py restore": DRILL,
    "manage.py version": "tests/config/test_release.py::test_the_version_is_written_once",
    "pip install": "not run: fetches packages; " + LOCKS,
    "printf": UNITS,
    "psql -p 6432": "tests/config/db/test_pooler.py::test_work_leaves_the_connection_as_it_was",
    "psql --single-transaction": PARTITIONS,
    "python -m benchmarks.scale": "tests/benchmarks/test_scale.py::"
    "test_what_sql_writes_is_a_catalogue_that_runs_and_cleaning_go_over",
    "python -m benchmarks.upgrade": "tests/benchmarks/test_upgrade.py::"
    "test_what_came_after_the_migrations_that_are_named_is_measured",
    "python -m pip": "not run: fetches packages; " + LOCKS,
    "python -m tests.site.rolling_upgrade": "tests/site/test_rolling_upgrade.py::"
    "test_processes_of_an_earlier_commit_are_replaced_and_come_back_under_load",
    "python -m venv": "not run: what runs the tests was made by it",
    "python deploy/make_secrets.py": UNITS,
    "set -a": UNITS,
    "sha256sum --check": DRILL,
    "systemctl": "not run: needs systemd; tests/deploy/test_files.py::test_systemd_finds_nothing_wrong_with_the_units",
    "umask": UNITS,
    "useradd": "not run: needs root",
}
#: The beginning of a block that is no list of commands: the test that reads it, or what it is.
OTHER_BLOCKS = {
    "people, programs, Prometheus": "a drawing",
    "strangers --443--> front": "a drawing",
    "pull request -> tests": "a drawing",
    "pictures / (cores x 10 a second)": "a calculation",
    "STORAGE_URL='s3://": "tests/config/test_bucket.py::test_every_storage_has_a_folder_below_the_prefix",
    "[databases]": "tests/config/db/test_pooler.py::test_work_leaves_the_connection_as_it_was",
    "export FETCH_HOST_HEADERS": "tests/catalog/fetching/test_host_headers.py::test_headers_of_the_page_are_understood",
    "scrape_configs:": FLOWS["manage.py api_tokens"],
    "GRANT ": "tests/config/db/test_roles.py::test_site_and_workers_do_their_work",
    "CREATE SCHEMA former": PARTITIONS,
}
#: What a text may name as something to type.
PROGRAMS = "buildah|celery|docker|git|make|manage.py|pip|psql|python|sha256sum|systemctl"
_ASSIGNMENT = re.compile(r"^(export )?\w+=(\$\([^)]*\)|\S*)\s*")


def shorten(command: str) -> str:
    """Return a command without variables before it, the user who runs it and the folder of its program."""
    while _ASSIGNMENT.match(command):
        command = _ASSIGNMENT.sub("", command)
    command = command.strip().removeprefix("runuser -u catalogue -- ").removeprefix(".venv/bin/")
    return re.sub(r"^python3 ", "python ", command).replace("python manage.py", "manage.py", 1)


def list_commands(page: str) -> list[str]:
    """Return what the page says to type, in blocks of its own and within its text."""
    blocks = [block for block in list_blocks(page) if not block.startswith(tuple(OTHER_BLOCKS))]
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    text = re.sub(r"^    .*$", "", (REPOSITORY / "docs" / page).read_text(), flags=re.MULTILINE)
    lines += re.findall(rf"`((?:{PROGRAMS}) [^`]+)`", " ".join(text.split()))
    return [short for line in lines for part in re.split(" && |; ", line) if (short := shorten(part))]


def find_flow(command: str) -> str | None:
    """Return the longest beginning of the command that is in the table."""
    fitting = [begin for begin in FLOWS if command == begin or command.startswith(f"{begin} ")]
    return max(fitting, key=len, default=None)


@pytest.mark.parametrize("page", PAGES)
def test_each_command_has_a_test_or_a_reason(page: str) -> None:
    assert [command for command in list_commands(page) if find_flow(command) is None] == []


def test_the_table_has_nothing_that_no_page_says() -> None:
    named = {find_flow(command) for page in PAGES for command in list_commands(page)}
    assert set(FLOWS) - named == set()
    blocks = [block for page in PAGES for block in list_blocks(page)]
    assert [begin for begin in OTHER_BLOCKS if not any(block.startswith(begin) for block in blocks)] == []


def test_the_tests_that_are_named_are_there() -> None:
    named = {test for text in (*FLOWS.values(), *OTHER_BLOCKS.values()) for test in re.findall(r"tests/\S+", text)}
    assert len(named) > 20
    for test in named:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (REPOSITORY / path).read_text(), test
    assert all(text.startswith(("tests/", "not run: ")) for text in FLOWS.values())
