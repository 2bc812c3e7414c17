"""The Celery application: two queues, JSON only, and the timers of its workers.

The timers send due work again, and see whether what is sent to a queue is taken up.

The broker is Redis when ``REDIS_URL`` is set and a folder under ``var/`` otherwise. It is only a hint: what has to be
done stands in the database (``classifier.models.LabelTask``), so a lost or doubled message costs time, never a label.
"""

import os
from inspect import signature
from typing import Any

from celery import Celery, Task, signals
from kombu.transport import TRANSPORT_ALIASES

from config.broker import TRANSPORTS
from config.logs import log_fields

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

TRANSPORT_ALIASES |= TRANSPORTS
app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The modules of tasks, whose names on the queue are given in their decorators: a module may move, a message stays.
app.conf.imports = [
    f"classifier.{package}.tasks" for package in ("adoption", "cleaning", "labelling", "reviews", "training", "worker")
]
app.steps["worker"] |= {
    "classifier.worker.timers:SweepStep",
    "classifier.worker.timers:CanaryStep",
    "classifier.worker.stopping:StopStep",
}


@signals.task_prerun.connect
def name_task(task_id: str, task: Task, args: list[Any], kwargs: dict[str, Any], **_: Any) -> None:
    """Have each line of the log say which message it is about, and what that was sent for: the ids of runs or tasks."""
    sent = signature(task.run).bind(*args, **kwargs).arguments
    log_fields.set({"message_id": task_id, "task": task.name, **sent})


@signals.task_postrun.connect
def forget_task(**_: Any) -> None:
    """Leave nothing to the lines that follow."""
    log_fields.set({})
