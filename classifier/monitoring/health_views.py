"""Health over HTTP, for whoever starts and watches the processes: without a sign-in, and without a secret."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from classifier.monitoring.health import OK, check_queues, check_readiness
from config import VERSION


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process answers at all, and which version it is of; nothing else is asked."""
    return JsonResponse({"status": OK, "version": VERSION})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when requests can be served in full, 503 with what is missing otherwise."""
    return _answer(check_readiness())


@never_cache
@require_safe
def workers(request: HttpRequest) -> JsonResponse:
    """Answer 200 while messages come back through every queue that has had a worker, 503 when one is silent."""
    return _answer(check_queues())


def _answer(checks: dict[str, str]) -> JsonResponse:
    well = all(state == OK for state in checks.values())
    return JsonResponse({"status": OK if well else "failing", "checks": checks}, status=200 if well else 503)
