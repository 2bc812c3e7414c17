"""What the admins of all runs share."""

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from classifier.runs.pages import warn_without_worker
from config.web.admin import Question, ReadOnlyAdmin, ask


class RunAdmin(ReadOnlyAdmin):
    """Runs of one kind, which say when nobody works on them, and which a subclass says how to cancel.

    `cancel_permission` is asked of the user; `cancel_text` says what becomes of their work, and `left_title` what
    `count_left` counts, if that is asked for.
    """

    list_filter = ("state",)
    actions: tuple[str, ...] = ("cancel_selected",)
    # Cancels the run; returns False if it had ended.
    cancel_run: Callable[[Any], bool]
    cancel_permission = ""
    cancel_text = ""
    left_title = ""

    def count_left(self, running: Sequence[Any]) -> int:
        """Return how much these runs have left."""
        return 0

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel runs."""
        return request.user.has_perm(self.cancel_permission)

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask, then cancel those of the selected runs that have not ended."""
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="cancel"):
            return None
        running = [run for run in queryset if run.is_open]
        question = Question(
            title="Cancel these runs?",
            text=self.cancel_text,
            button="Cancel the runs",
            counts=[
                ("Runs that have not ended", f"{len(running):,}"),
                *([(self.left_title, f"{self.count_left(running):,}")] if self.left_title else []),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        cancelled = [run for run in queryset if self.cancel_run(run)]
        for run in cancelled:
            self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} runs are cancelled.", messages.SUCCESS)
        return None

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        """Answer with the run."""
        if (run := context["original"]).is_open:
            warn_without_worker(request, run.queue)
        response: HttpResponse = super().render_change_form(request, context, *args, **options)
        return response
