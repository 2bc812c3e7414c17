"""People's labels in the admin, and their runs with the way to cancel them."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from catalog.models import Image
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.models import Review, ReviewRun
from classifier.reviews.runs import cancel_review_run
from classifier.reviews.services import record_review, withdraw_review_run, withdraw_reviews
from config.web.admin import CancellingAdmin, LargeTableAdmin, Question, ask, get_member


class ReviewForm(forms.ModelForm):
    """A person's label for an image."""

    class Meta:
        model = Review
        fields = ("image", "group", "garment", "note")

    def clean(self) -> dict[str, Any]:
        """Refuse a garment of another group."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        garment, group = cleaned.get("garment"), cleaned.get("group")
        if garment and group and GROUP_OF_GARMENT[garment] != group:
            raise ValidationError({"garment": f"Expected a garment of {group}; received {garment}."})
        return cleaned


class ReviewAdmin(LargeTableAdmin):
    """People's labels: they are added and stay; a newer one wins."""

    form = ReviewForm
    list_display = ("id", "image", "group", "garment", "reviewer", "created_at", "withdrawn_at")
    list_filter = ("group",)
    list_select_related = ("image", "reviewer")
    autocomplete_fields = ("image",)
    actions = ("withdraw_selected",)

    @admin.action(description="Withdraw selected reviews", permissions=["withdraw"])
    def withdraw_selected(self, request: HttpRequest, queryset: QuerySet[Review]) -> HttpResponse | None:
        """Ask, then withdraw the selected reviews: their pictures have the labels that they would have without them."""
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="withdraw"):
            return None
        question = Question(
            title="Withdraw these reviews?",
            text="Each picture has the label then that it would have without the review.",
            button="Withdraw",
            counts=[("Reviews", self.count_in_words(queryset.filter(withdrawn_at__isnull=True)))],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        number = withdraw_reviews(Review.objects.filter(pk__in=queryset.values("pk")))
        self.message_user(request, f"{number} reviews are withdrawn.")
        return None

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may withdraw anybody's reviews."""
        return request.user.has_perm("classifier.change_review")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def save_model(self, request: HttpRequest, obj: Review, form: forms.ModelForm, change: bool) -> None:
        """Record the label in the user's name; products that show the image have it at once."""
        recorded = record_review(
            cast(Image, obj.image), group=obj.group, garment=obj.garment, reviewer=get_member(request), note=obj.note
        )
        obj.pk, obj.reviewer, obj.created_at = recorded.pk, recorded.reviewer, recorded.created_at


# A run of 10,000 pictures takes some seconds.
REFRESH_SECONDS = 3


class ReviewRunAdmin(CancellingAdmin):
    """Labels that people gave to many pictures at once; who may give labels may see and cancel these runs."""

    list_display = ("id", "state", "group", "progress", "requested_by", "created_at", "finished_at")
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
    actions = (*CancellingAdmin.actions, "withdraw_selected")
    cancel_permission = "classifier.add_review"
    cancel_text = "What a run has labelled stays; the pictures that are left keep the label that they have."
    left_title = "Pictures that are left"

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return whether the user may see the runs, as whoever gives labels may."""
        return super().has_view_permission(request, obj) or self.has_cancel_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Return whether the user sees the classifier's part of the admin."""
        return super().has_module_permission(request) or self.has_cancel_permission(request)

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

    @admin.action(description="Withdraw all labels of selected runs", permissions=["withdraw"])
    def withdraw_selected(self, request: HttpRequest, queryset: QuerySet[ReviewRun]) -> HttpResponse | None:
        """Ask, then withdraw every label that the runs gave, each run as one; runs that go on are cancelled first."""
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="withdraw"):
            return None
        standing = Review.objects.filter(run__in=queryset.order_by().values("pk"), withdrawn_at__isnull=True)
        question = Question(
            title="Withdraw the labels of these runs?",
            text="Each picture has the label then that it would have without the run.",
            button="Withdraw",
            counts=[("Labels", self.count_in_words(standing))],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        for run in queryset:
            self.cancel_run(run)
            number = withdraw_review_run(run)
            self.log_change(request, run, f"Withdrew {number} labels.")
            self.message_user(request, f"{number:,} labels of run {run.pk} are withdrawn.")
        return None

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may withdraw anybody's reviews."""
        return request.user.has_perm("classifier.change_review")

    def count_left(self, running: Sequence[ReviewRun]) -> int:
        """Return how many pictures the runs have not looked at."""
        return sum(run.total - run.done - run.skipped for run in running)

    def cancel_run(self, run: ReviewRun) -> bool:
        """Cancel the run; return False if it had ended."""
        return cancel_review_run(run)
