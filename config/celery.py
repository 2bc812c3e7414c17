"""The Celery application: its queues, JSON only, and the timers of its workers.

The timers send due work again, and see whether what is sent to a queue is taken up.

The broker is Redis when ``REDIS_URL`` is set and a folder under ``var/`` otherwise. It is only a hint: what has to be
done stands in the database (``classifier.models.LabelTask``), so a lost or doubled message costs time, never a label.
"""

import os
import sys
from inspect import signature
from io import StringIO
from typing import Any

from celery import Celery, Task, signals
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from kombu.transport import TRANSPORT_ALIASES

from config.broker import TRANSPORTS
from config.logs import log_fields

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
# Celery runs Django's checks and passes over what they find; see `refuse_bad_settings`.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

TRANSPORT_ALIASES |= TRANSPORTS
app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.imports = ["classifier.worker.tasks"]
app.steps["worker"] |= {
    "classifier.worker.timers:AliveStep",
    "classifier.worker.timers:SweepStep",
    "classifier.worker.timers:CanaryStep",
    "classifier.worker.timers:PrecisionStep",
    "classifier.monitoring.timers:DriftStep",
    "classifier.worker.stopping:StopStep",
    "classifier.worker.timers:LackStep",
}


@app.on_configure.connect
def read_settings(**_: Any) -> None:
    """End the program with a sentence if the settings, which Celery is about to read, cannot be."""
    try:
        _apps = settings.INSTALLED_APPS
    except ImproperlyConfigured as error:
        sys.exit(f"{type(error).__name__}: {error}")


@signals.worker_init.connect
def refuse_bad_settings(**_: Any) -> None:
    """End a worker before it works if Django's checks find an error, with their words."""
    from django.core.management import call_command
    from django.core.management.base import SystemCheckError

    try:
        call_command("check", stdout=StringIO())
    except SystemCheckError as error:
        sys.exit(str(error))


@signals.before_task_publish.connect
def pass_request_on(headers: dict[str, Any], **_: Any) -> None:
    """Have a message bear the id of the request that it is sent for, also from one message to the next."""
    if request_id := log_fields.get().get("request"):
        headers["request_id"] = request_id


@signals.task_prerun.connect
def name_task(task_id: str, task: Task, args: list[Any], kwargs: dict[str, Any], **_: Any) -> None:
    """Have each line of the log say which message it is about, what that was sent for, and by which request.

    What it was sent for are the ids of runs or tasks; what a timer sends is of no request.
    """
    sent = signature(task.run).bind(*args, **kwargs).arguments
    asked = {"request": request_id} if (request_id := task.request.get("request_id")) else {}
    log_fields.set({**asked, "message_id": task_id, "task": task.name, **sent})


@signals.task_postrun.connect
def forget_task(**_: Any) -> None:
    """Leave nothing to the lines that follow."""
    log_fields.set({})
