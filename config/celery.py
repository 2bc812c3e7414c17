"""The Celery application: two queues, JSON only, and the timers of its workers.

The timers send due work again, and see whether what is sent to a queue is taken up.

The broker is Redis when ``REDIS_URL`` is set and a folder under ``var/`` otherwise. It is only a hint: what has to be
done stands in the database (``classifier.models.LabelTask``), so a lost or doubled message costs time, never a label.
"""

import os

from celery import Celery

from classifier.sweeping import CanaryStep, SweepStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(SweepStep)
app.steps["worker"].add(CanaryStep)
