"""An admin of runs that do their work in the background and can be cancelled."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from config.web.admin_lists import MAXIMUM_CHOSEN
from config.web.admin_questions import Question, ask
from config.web.read_only_admin import ReadOnlyAdmin


class CancellingAdmin(ReadOnlyAdmin):
    """Runs with a `state` "running", which a subclass says how to cancel.

    `cancel_permission` is asked of the user; `cancel_text` says what becomes of the pictures, and `left_title` what
    `count_left` counts.
    """

    actions = ("cancel_selected",)
    cancel_permission = ""
    cancel_text = ""
    left_title = ""

    def count_left(self, running: Sequence[Any]) -> int:
        """Return how many pictures these runs have left."""
        raise TypeError(f"expected {type(self).__name__} to say what its runs have left")

    def cancel_run(self, run: Any) -> bool:
        """Cancel the run; return False if it had ended."""
        raise TypeError(f"expected {type(self).__name__} to say how its runs are cancelled")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel runs."""
        return request.user.has_perm(self.cancel_permission)

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Ask, then cancel those of the selected runs that have not ended."""
        if self.is_more_than(request, queryset, maximum=MAXIMUM_CHOSEN, verb="cancel"):
            return None
        running = [run for run in queryset if run.state == "running"]
        question = Question(
            title="Cancel these runs?",
            text=self.cancel_text,
            button="Cancel the runs",
            counts=[
                ("Runs that have not ended", f"{len(running):,}"),
                (self.left_title, f"{self.count_left(running):,}"),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        cancelled = [run for run in queryset if self.cancel_run(run)]
        for run in cancelled:
            self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} runs are cancelled.", messages.SUCCESS)
        return None
