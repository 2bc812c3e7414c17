"""The Celery application: two queues, JSON only, and the timers of its workers.

The timers send due work again, and see whether what is sent to a queue is taken up.

The broker is Redis when ``REDIS_URL`` is set and a folder under ``var/`` otherwise. It is only a hint: what has to be
done stands in the database (``classifier.models.LabelTask``), so a lost or doubled message costs time, never a label.
"""

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

from config.broker import TRANSPORTS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

TRANSPORT_ALIASES |= TRANSPORTS
app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The modules of tasks, whose names on the queue are given in their decorators: a module may move, a message stays.
app.conf.imports = [
    f"classifier.{package}.tasks" for package in ("adoption", "labelling", "reviews", "training", "worker")
]
app.steps["worker"] |= {
    "classifier.worker.timers:SweepStep",
    "classifier.worker.timers:CanaryStep",
    "classifier.worker.stopping:StopStep",
}
