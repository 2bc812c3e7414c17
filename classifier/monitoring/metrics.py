"""What Prometheus reads: numbers of the database at the moment it asks, the same from whichever process answers."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Count
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from rest_framework.request import Request

from catalog.browse.summary import count_by_status_and_group
from catalog.interchange.api import AnyContentNegotiation
from classifier.audit.selectors import estimate_accuracy
from classifier.labels.day_counts import count_all_changes
from classifier.models import OPEN_STATES, LabelChange, LabellingRun, LabelTask
from classifier.monitoring.operation_metrics import collect_operation
from classifier.registry.selectors import find_active_model_version
from classifier.runs.workers import list_queue_health
from config.web.model_views import ModelView
from config.web.permissions import ReadPermissions


class CatalogueCollector(Collector):
    """Reads the database whenever it is asked; no process has numbers of its own."""

    def collect(self) -> Iterator[Any]:
        """Yield the families of numbers."""
        labels = GaugeMetricFamily("catalogue_labels", "Products by their current label.", labels=["status", "group"])
        for status, group, number in count_by_status_and_group():
            labels.add_metric([status, group], number)
        yield labels
        changes = CounterMetricFamily(
            "catalogue_label_changes",
            "Changes of labels by what the label became.",
            labels=["status", "source", "reason"],
        )
        for kind, number in sorted(count_all_changes().items()):
            changes.add_metric(kind, number)
        yield changes
        errors = GaugeMetricFamily("catalogue_errors", "Pictures in the error queue by code.", labels=["code"])
        for code, number in LabelTask.objects.errors().order_by().values_list("error_code").annotate(Count("pk")):
            errors.add_metric([code], number)
        yield errors
        open_runs = LabellingRun.objects.filter(state__in=OPEN_STATES).count()
        yield GaugeMetricFamily("catalogue_open_labelling_runs", "Labelling runs that have not ended.", value=open_runs)
        yield from _collect_queues()
        yield from _collect_version()
        yield from collect_operation()


def _collect_queues() -> Iterator[Any]:
    missing = GaugeMetricFamily("catalogue_worker_missing", "1 where no worker serves a queue.", labels=["queue"])
    seen = GaugeMetricFamily(
        "catalogue_worker_seen_timestamp_seconds", "When a message last came back through a queue.", labels=["queue"]
    )
    for health in list_queue_health():
        missing.add_metric([health.queue], int(health.stale))
        if health.seen_at is not None:
            seen.add_metric([health.queue], health.seen_at.timestamp())
    yield missing
    yield seen


def _collect_version() -> Iterator[Any]:
    version = find_active_model_version()
    if version is None:
        return
    since = GaugeMetricFamily(
        "catalogue_model_version_activated_timestamp_seconds",
        "Since when the version in production is there.",
        labels=["version"],
    )
    since.add_metric([version.name], version.activated_at.timestamp() if version.activated_at else 0)
    yield since
    estimate = estimate_accuracy()
    if estimate is None:
        return
    yield GaugeMetricFamily("catalogue_audit_answers", "Answers to the present audit.", value=estimate.answered)
    share = estimate.accuracy
    accuracy = GaugeMetricFamily(
        "catalogue_audit_accuracy", "How many labels are right by the audit, with its 95 % interval.", labels=["bound"]
    )
    for bound, value in (("value", share.value), ("low", share.low), ("high", share.high)):
        if value is not None:
            accuracy.add_metric([bound], value)
    yield accuracy


#: Without the process's own numbers, which another process would contradict.
REGISTRY = CollectorRegistry(auto_describe=False)
REGISTRY.register(CatalogueCollector())


class MetricsView(ModelView):
    """The numbers in the text format of Prometheus."""

    queryset = LabelChange.objects.none()
    permission_classes = [ReadPermissions]
    content_negotiation_class = AnyContentNegotiation

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Return the numbers as they are now."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return HttpResponse(encode(REGISTRY), content_type=content_type)
