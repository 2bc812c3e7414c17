"""Which queue does what, with and without a queue of steps of its own."""

import json
import os
import runpy
import subprocess
import sys

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

from config.settings import base

SHOW = """
import json, django
django.setup()
from django.conf import settings
from classifier.models import AdoptionRun, CleaningRun, ImpactRun, LabellingRun, ReviewRun, TrainingRun
from config.celery import app
runs = {run.__name__: run.queue for run in (AdoptionRun, CleaningRun, ImpactRun, LabellingRun, ReviewRun, TrainingRun)}
import classifier.worker.tasks
app.loader.import_default_modules()
tasks = {name: app.amqp.router.route({}, name)["queue"].name for name in app.tasks if name.startswith("classifier.")}
print(json.dumps([runs, tasks, sorted(settings.CELERY_TASK_QUEUES)]))
"""


@pytest.mark.parametrize("name", ["labelling", "steps"])
def test_what_is_no_picture_has_the_queue_of_the_setting(name: str, tmp_path: object) -> None:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings.base", "VAR_DIR": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=django_settings.BASE_DIR,
        env=environment | {"STEPS_QUEUE": name},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    runs, tasks, queues = json.loads(result.stdout)
    pictures = {"label_batch_task", "take_pictures_task", "canary_task"}
    assert runs.pop("TrainingRun") == tasks.pop("classifier.tasks.train_task") == "training"
    assert runs.pop("LabellingRun") == "labelling"
    assert set(runs.values()) == {name}
    assert {task.rpartition(".")[2]: queue for task, queue in tasks.items()} == {
        task.rpartition(".")[2]: "labelling" if task.rpartition(".")[2] in pictures else name for task in tasks
    }
    assert len(tasks) == 8
    assert set(queues) == {"labelling", "training", name}


def test_the_queue_of_trainings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEPS_QUEUE", "training")
    with pytest.raises(ImproperlyConfigured, match="expected labelling or a queue of its own"):
        runpy.run_path(base.__file__)
