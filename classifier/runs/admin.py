"""What the admins of all runs share."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from classifier.runs.pages import warn_without_worker
from config.web.admin import CancellingAdmin


class RunAdmin(CancellingAdmin):
    """Runs of one kind: they can be cancelled, and say when nobody works on them."""

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        """Answer with the run."""
        if (run := context["original"]).is_open:
            warn_without_worker(request, run.queue)
        response: HttpResponse = super().render_change_form(request, context, *args, **options)
        return response
