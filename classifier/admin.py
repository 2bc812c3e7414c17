"""The classifier in the admin: runs, what was said of pictures, and people's labels. Almost all of it is for reading.

The error queue and the model versions with their trainings have modules of their own.
"""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.admin_lists import (
    LargeTableAdmin,
    OwnConfidenceFilter,
    OwnGarmentFilter,
    OwnModelVersionFilter,
    get_member,
    render_thumbnail,
)
from catalog.models import Product
from catalog.search import TextSearch
from classifier import error_admin, review_admin, version_admin  # noqa: F401  (the imports register them)
from classifier.cancelling_admin import CancellingAdmin
from classifier.listing import get_probabilities
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.models import Classification, LabellingRun, LabelTask, ProductLabel, QueueCanary, Review
from classifier.read_only_admin import ReadOnlyAdmin
from classifier.run_steps import cancel_labelling_run
from classifier.selectors import get_run_progress
from classifier.services import record_review


@admin.register(LabellingRun)
class LabellingRunAdmin(CancellingAdmin):
    """Labelling runs and how far they are."""

    list_display = (
        "id",
        "state",
        "failed",
        "total",
        "model_version",
        "requested_by",
        "created_at",
        "finished_at",
    )
    list_filter = ("state",)
    list_select_related = ("model_version", "requested_by")
    list_per_page = 25
    readonly_fields = ("tasks_by_state", "failed")
    cancel_permission = "classifier.change_labellingrun"
    cancel_text = "What a run has labelled stays; the pictures that it still holds are free for other runs."
    left_title = "Pictures they hold"

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabellingRun]:
        """Return the runs with the number of their tasks that failed.

        What is done is counted on the run's own page: of a million tasks that takes a second.
        """
        failed = LabelTask.objects.filter(run=OuterRef("pk")).errors().order_by()
        number = Subquery(failed.values("run").annotate(number=Count("pk")).values("number"))
        return super().get_queryset(request).annotate(failed_tasks=Coalesce(number, 0))

    @admin.display
    def failed(self, run: LabellingRun) -> SafeString | str:
        """Show how many tasks are in the error queue, with a link to them there."""
        failed: int = vars(run)["failed_tasks"]
        if not failed:
            return "0"
        address = reverse("admin:classifier_labeltask_changelist", query={"run__id__exact": run.pk})
        return format_html('<a href="{}">{}</a>', address, failed)

    @admin.display(description="Tasks by state")
    def tasks_by_state(self, run: LabellingRun) -> str:
        """Show the number of tasks in each state."""
        progress = get_run_progress(run)
        names = ("new", "running", "done", "waiting", "failed", "cancelled")
        more = ["takes more pictures"] if run.is_taking else []
        return " · ".join([*(f"{getattr(progress, name)} {name}" for name in names), *more])

    def count_left(self, running: Sequence[LabellingRun]) -> int:
        """Return how many pictures the runs hold."""
        return LabelTask.objects.open().filter(run__in=running).count()

    def cancel_run(self, run: LabellingRun) -> bool:
        """Cancel the run; return False if it had ended."""
        return cancel_labelling_run(run)


@admin.register(Classification)
class ClassificationAdmin(ReadOnlyAdmin):
    """What model versions said."""

    list_display = (
        "id",
        "thumbnail",
        "image",
        "group",
        "garment",
        "confidence",
        "abstained",
        "model_version",
        "created_at",
    )
    list_display_links = ("id", "image")
    list_filter = ("group", "abstained", "model_version")
    list_select_related = ("image", "model_version")
    search_fields = ("image__url",)
    fields = (
        "thumbnail",
        "image",
        "group",
        "garment",
        "confidence",
        "abstained",
        "probabilities",
        "model_version",
        "run",
        "sha256",
        "created_at",
    )
    readonly_fields = ("thumbnail", "probabilities")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Classification]:
        """Return the classifications without their embeddings."""
        return super().get_queryset(request).defer("embedding")

    @admin.display(description="")
    def thumbnail(self, classification: Classification) -> SafeString | str:
        """Show the picture that was classified."""
        return render_thumbnail(classification.sha256)

    @admin.display
    def probabilities(self, classification: Classification) -> SafeString:
        """Show the probability of each group and each garment."""
        by_garment, by_group = get_probabilities(classification)
        rows = [(name, f"{value:.1%}") for name, value in (by_group | by_garment).items()]
        return format_html_join("", "<div>{} {}</div>", rows)


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


@admin.register(Review)
class ReviewAdmin(LargeTableAdmin):
    """People's labels: they are added and stay; a newer one wins."""

    form = ReviewForm
    list_display = ("id", "image", "group", "garment", "reviewer", "created_at")
    list_filter = ("group",)
    list_select_related = ("image", "reviewer")
    autocomplete_fields = ("image",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def save_model(self, request: HttpRequest, obj: Review, form: forms.ModelForm, change: bool) -> None:
        """Record the label in the user's name; products that show the image have it at once."""
        recorded = record_review(
            obj.image, group=obj.group, garment=obj.garment, reviewer=get_member(request), note=obj.note
        )
        obj.pk, obj.reviewer, obj.created_at = recorded.pk, recorded.reviewer, recorded.created_at


@admin.register(ProductLabel)
class ProductLabelAdmin(ReadOnlyAdmin):
    """The current label of each product."""

    list_display = ("product", "group", "garment", "confidence", "status", "source", "model_version", "labelled_at")
    list_filter = ("group", OwnGarmentFilter, "status", OwnConfidenceFilter, OwnModelVersionFilter, "source")
    list_select_related = ("product", "model_version")
    search_fields = ("product__title",)  # any, so that there is a search; it looks where the text search does
    search_help_text = "The id of a product, or words of its title and descriptions, parts of words included."
    sortable_by = ()
    ordering = ("-pk",)

    def search_texts(
        self, request: HttpRequest, queryset: QuerySet[ProductLabel], term: str
    ) -> tuple[QuerySet[ProductLabel], bool]:
        """Return the labels of the products that the catalogue's text search finds."""
        return queryset.filter(product__in=TextSearch(term).find(Product.objects.all())), False


@admin.register(QueueCanary)
class QueueCanaryAdmin(ReadOnlyAdmin):
    """When a message last came back through each queue."""

    list_display = ("queue", "sent_at", "done_at")
    ordering = ("queue",)
    sortable_by = ()
