"""Runs of reviews in the admin: how far each is, with the way to cancel it."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from catalog.admin_actions import Question, ask
from catalog.admin_lists import MAXIMUM_CHOSEN
from classifier.models import ReviewRun
from classifier.read_only_admin import ReadOnlyAdmin
from classifier.review_runs import cancel_review_run

# A run of 10,000 pictures takes some seconds.
REFRESH_SECONDS = 3


@admin.register(ReviewRun)
class ReviewRunAdmin(ReadOnlyAdmin):
    """Labels that people gave to many pictures at once; who may give labels may see and cancel these runs."""

    list_display = ("id", "state", "group", "progress", "requested_by", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("requested_by",)
    fields = (
        "state",
        "group",
        "progress",
        "skipped",
        "note",
        "requested_by",
        "created_at",
        "finished_at",
    )
    readonly_fields = ("progress",)
    actions = ("cancel_selected",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may see the runs, as whoever gives labels may."""
        return super().has_view_permission(request, obj) or self.has_cancel_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the user sees the classifier's part of the admin."""
        return super().has_module_permission(request) or self.has_cancel_permission(request)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel runs."""
        return request.user.has_perm("classifier.add_review")

    @admin.display
    def progress(self, run: ReviewRun) -> str:
        """Show how many of its pictures have the label."""
        share = (run.done + run.skipped) / run.total if run.total else 1.0
        return f"{run.done:,} of {run.total:,} labelled, {share:.0%} looked at"

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **options: Any) -> HttpResponse:
        """Answer with the run; while it is not done the page asks again by itself."""
        response: HttpResponse = super().render_change_form(request, context, *args, **options)
        if context["original"].state == ReviewRun.State.RUNNING:
            response["Refresh"] = str(REFRESH_SECONDS)
        return response

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[ReviewRun]) -> HttpResponse | None:
        """Ask, then cancel those of the selected runs that have not ended."""
        if self.is_more_than(request, queryset, maximum=MAXIMUM_CHOSEN, verb="cancel"):
            return None
        running = [run for run in queryset if run.state == ReviewRun.State.RUNNING]
        left = sum(run.total - run.done - run.skipped for run in running)
        question = Question(
            title="Cancel these runs?",
            text="What a run has labelled stays; the pictures that are left keep the label that they have.",
            button="Cancel the runs",
            counts=[("Runs that have not ended", f"{len(running):,}"), ("Pictures that are left", f"{left:,}")],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        cancelled = [run for run in queryset if cancel_review_run(run)]
        for run in cancelled:
            self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} runs are cancelled.", messages.SUCCESS)
        return None
