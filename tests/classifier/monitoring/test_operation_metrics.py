"""What the metrics say of work, queues, hosts, disks and the broker; and the alert rules that read them."""

import json
import re
import shlex
import shutil
import subprocess
from datetime import timedelta
from io import StringIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from catalog.fetching.host_limits import HostLimits
from catalog.fetching.shared_host_limits import SharedHostLimits
from classifier.models import LabellingRun, LabelTask
from classifier.monitoring import metrics, operation_metrics
from classifier.worker.canaries import canary_task
from config import VERSION
from config.celery import app
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version
from tests.support.members import create_member, sign_in
from tests.support.pages import read_block

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

DOCS = Path(__file__).resolve().parents[3] / "docs"
RULES, OPERATIONS = DOCS / "alerts.yml", DOCS / "operations.md"


def read_metrics(client: Client) -> dict[tuple[str, ...], float]:
    response = client.get("/metrics")
    assert response.status_code == 200, response.content
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


def create_task(run: LabellingRun, *, state: str, due_since: timedelta = timedelta()) -> LabelTask:
    return LabelTask.objects.create(
        image=create_image(), model_version=run.model_version, run=run, state=state, next_try_at=Now() - due_since
    )


def test_work_that_waits_is_counted_and_dated(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in(client, "view_labelchange")
    run = LabellingRun.objects.create(model_version=create_model_version())
    idle = read_metrics(client)
    assert (idle["catalogue_open_tasks",], idle["catalogue_oldest_due_seconds",]) == (0, 0)
    assert ("catalogue_info", VERSION) in idle
    create_task(run, state="new", due_since=timedelta(minutes=20))
    create_task(run, state="retry", due_since=-timedelta(hours=1))
    # In hand, or through: nobody waits for these.
    create_task(run, state="running", due_since=timedelta(hours=2))
    create_task(run, state="done", due_since=timedelta(hours=3))
    busy = read_metrics(client)
    assert busy["catalogue_open_tasks",] == 3
    assert 1200 <= busy["catalogue_oldest_due_seconds",] < 1260
    monkeypatch.setattr(operation_metrics, "MOST_TASKS", 2)
    assert read_metrics(client)["catalogue_open_tasks",] == 2


def test_disks_and_queues_are_those_of_this_machine(client: Client, settings: Any) -> None:
    sign_in(client, "view_labelchange")
    with app.connection_for_write() as broker:
        for queue in ("labelling", "training"):
            broker.default_channel.queue_purge(queue)
    canary_task.apply_async(("labelling",), queue="labelling", retry=False)
    read = read_metrics(client)
    free = shutil.disk_usage("/").free
    for place in ("media", "artefacts"):
        assert 0 < read["catalogue_disk_free_bytes", place] < 10 * free + 1e12
    assert read["catalogue_broker_up",] == 1
    assert read["catalogue_queue_messages", "labelling"] == 1
    assert read["catalogue_queue_messages", "training"] == 0
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "django.core.files.storage.InMemoryStorage"}}
    assert ("catalogue_disk_free_bytes", "media") not in read_metrics(client)


@pytest.mark.redis
def test_hosts_that_are_left_alone_are_counted_until_their_rest_is_over(client: Client, settings: Any) -> None:
    sign_in(client, "view_labelchange")
    before = read_metrics(client)["catalogue_hosts_put_off",]
    own = HostLimits(get_rate=lambda _: 10.0)
    limits = SharedHostLimits(own, redis_url=settings.REDIS_URL)
    for host in ("one.example", "two.example"):
        for _ in range(own.failures_before_rest):
            limits.record_failure(host, code="connection_failed")
    assert read_metrics(client)["catalogue_hosts_put_off",] == before + 2
    # A rest that is over is none, though the host is not forgotten.
    limits._redis.zadd("catalogue-resting-hosts", {"catalogue-host:one.example": 1.0})
    assert read_metrics(client)["catalogue_hosts_put_off",] == before + 1
    limits._redis.delete("catalogue-resting-hosts", "catalogue-host:one.example", "catalogue-host:two.example")
    limits.close()


@pytest.mark.redis
def test_a_broker_that_is_away_is_said_and_the_rest_is_told(client: Client, settings: Any) -> None:
    sign_in(client, "view_labelchange")
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    read = read_metrics(client)
    assert read["catalogue_broker_up",] == 0
    assert not [name for name in read if name[0] in ("catalogue_queue_messages", "catalogue_hosts_put_off")]
    assert read["catalogue_open_tasks",] == 0


def test_prometheus_asks_as_the_page_has_it_ask(client: Client) -> None:
    make, job = (read_block("operations.md", begin) for begin in ("manage.py api_tokens", "scrape_configs:"))
    user = create_member("view_labelchange")
    User.objects.filter(pk=user.pk).update(username="prometheus")
    output = StringIO()
    call_command(*shlex.split(make)[1:], "--json", stdout=output)
    (scrape,) = yaml.safe_load(job)["scrape_configs"]
    header = f"{scrape['authorization']['type']} {json.loads(output.getvalue())['key']}"
    answer = client.get(scrape["metrics_path"], headers={"Authorization": header})
    assert (answer.status_code, "catalogue_open_tasks" in answer.text) == (200, True)


def test_alert_rules_read_what_is_exported(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    create_model_version()
    create_product()
    settings.REDIS_URL = "redis://nowhere"
    monkeypatch.setattr(operation_metrics, "_ask_broker", lambda: (True, {"labelling": 1}, 0))
    families = {family.name for family in metrics.CatalogueCollector().collect()}
    text = RULES.read_text()
    read = set(re.findall(r"(?<![:\w])catalogue_\w+", text))
    # It needs answers to an audit, and `catalogue_audit_accuracy` is tested with these.
    assert read - families == {"catalogue_audit_accuracy"}
    assert len(read) >= 8
    assert text.count("severity: page}") == 4
    promtool = shutil.which("promtool")
    if promtool is not None:
        # The documented configuration, with these rules.
        (scrapes,) = re.findall(r"^    scrape_configs:\n(?:     .*\n)+", OPERATIONS.read_text(), re.MULTILINE)
        token = "/etc/prometheus/catalogue-token"
        assert token in scrapes
        (tmp_path / "token").touch()
        config = tmp_path / "prometheus.yml"
        config.write_text(dedent(scrapes).replace(token, str(tmp_path / "token")) + f"rule_files: [{RULES}]\n")
        checked = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "11 rules found" in checked.stdout


def test_a_scrape_costs_as_many_queries_whatever_there_is(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(2):
        list(operation_metrics.collect_operation())
    run = LabellingRun.objects.create(model_version=create_model_version())
    for _ in range(5):
        create_task(run, state="new")
    with django_assert_num_queries(2):
        list(operation_metrics.collect_operation())
