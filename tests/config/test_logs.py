"""What a line of the log says, and what is left out of it."""

import json
import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest

from config.celery import app, forget_task, name_task
from config.logs import JSONFormatter, LineFormatter, RefusalFilter, build_logging, log_fields


def build_record(message: str, *, name: str = "shop", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    record = logging.LogRecord(name, level, "file.py", 1, message, None, None)
    vars(record).update(extra)
    return record


@pytest.fixture
def request_fields():
    token = log_fields.set({"request": "abc", "user": lambda: "ann", "run_id": None})
    yield
    log_fields.reset(token)


def test_people_read_a_line_with_what_is_known_at_its_end(request_fields: None) -> None:
    line = LineFormatter().format(build_record("started", fields={"status": 202}))
    assert line.partition(" INFO ")[2] == "shop started [status=202 request=abc user=ann]"
    log_fields.set({})
    assert LineFormatter().format(build_record("started")).endswith("INFO shop started")


def test_no_message_begins_a_line_of_its_own() -> None:
    forged = "sign-in as 'x\n2026 INFO shop\u2028all is well\x1b[2J'"
    for formatter in (LineFormatter(), JSONFormatter()):
        line = formatter.format(build_record(forged, fields={"user": "a\r\nb"}))
        assert line.isprintable()
        assert "all is well" in line


def test_programs_read_an_object_with_the_traceback_in_it(request_fields: None) -> None:
    record = build_record("failed", level=logging.ERROR, fields={"status": 500}, created=1_800_000_000.5)
    try:
        raise OSError("no space")
    except OSError:
        record.exc_info = sys.exc_info()
    document = json.loads(JSONFormatter().format(record))
    assert document.pop("exception").endswith("OSError: no space")
    assert document == {
        "time": "2027-01-15T08:00:00.500+00:00",
        "level": "ERROR",
        "logger": "shop",
        "message": "failed",
        "status": 500,
        "request": "abc",
        "user": "ann",
    }


def test_what_was_refused_is_said_by_its_request_and_a_fault_by_itself() -> None:
    request = SimpleNamespace()
    refused = [
        build_record("Not Found: /x", name="django.request", status_code=404, request=request),
        build_record("Invalid HTTP_HOST", name="django.security.DisallowedHost", status_code=400, request=request),
    ]
    assert [RefusalFilter().filter(record) for record in refused] == [False, False]
    assert request.refusal == "Invalid HTTP_HOST"
    kept = [
        build_record("Internal Server Error: /x", name="django.request", status_code=500, request=request),
        build_record("Session data corrupted", name="django.security.SuspiciousSession"),
        build_record("anything", name="catalog", status_code=404),
    ]
    assert [RefusalFilter().filter(record) for record in kept] == [True, True, True]


@pytest.mark.parametrize(
    "name, arguments, sent",
    [
        ("label_batch_task", [[7, 8]], {"task_ids": [7, 8]}),
        ("adopt_task", [3], {"run_id": 3}),
        ("train_task", [4], {"training_run_id": 4}),
    ],
)
def test_lines_of_a_worker_say_what_they_are_about(name: str, arguments: list[object], sent: dict[str, object]) -> None:
    app.loader.import_default_modules()
    task = app.tasks[f"classifier.tasks.{name}"]
    name_task(task_id="m-1", task=task, args=arguments, kwargs={})
    assert log_fields.get() == {"message_id": "m-1", "task": f"classifier.tasks.{name}", **sent}
    forget_task()
    assert log_fields.get() == {}


def test_an_unknown_form_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="Expected LOG_FORMAT to be line or json; it is 'xml'"):
        build_logging(form="xml", level="INFO")


def test_gunicorn_needs_no_django_for_its_lines() -> None:
    code = "import sys, config.logs; sys.exit('django' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
