"""The classifier in the admin: versions, runs, the error queue and the labels. Almost all of it is for reading."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Count, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from catalog.admin import LargeTableAdmin, get_member, render_thumbnail
from classifier.ledger import cancel_labelling_run
from classifier.listing import get_probabilities
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.models import (
    Classification,
    LabellingRun,
    LabelTask,
    ModelVersion,
    ProductLabel,
    Review,
    TrainingRun,
)
from classifier.registry import StageTransitionError, activate_model_version
from classifier.selectors import get_run_progress
from classifier.services import record_review


class ReadOnlyAdmin(LargeTableAdmin):
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Return False."""
        return False


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """Model versions and their figures."""

    list_display = ("name", "stage", "accuracy", "recipe", "seed", "created_at", "activated_at")
    list_filter = ("stage",)
    search_fields = ("name",)
    actions = ("activate_selected",)

    @admin.display
    def accuracy(self, version: ModelVersion) -> str | None:
        """Show the accuracy over the five groups on the test images."""
        accuracy = version.metrics.get("accuracy")
        return None if accuracy is None else f"{accuracy:.2%}"

    def has_activate_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may change which version is active."""
        return request.user.has_perm("classifier.change_modelversion")

    @admin.action(description="Activate the selected version", permissions=["activate"])
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        """Make the one selected version the active one."""
        versions = list(queryset[:2])
        if len(versions) != 1:
            self.message_user(request, "Expected one version to activate; more were selected.", messages.ERROR)
            return
        try:
            version = activate_model_version(versions[0])
        except StageTransitionError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.log_change(request, version, "Activated.")
        self.message_user(request, f"{version.name} is active. New runs use it.", messages.SUCCESS)


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    """Trainings and how far they are."""

    list_display = ("id", "recipe", "state", "phase", "model_version", "requested_by", "created_at", "finished_at")
    list_filter = ("state",)
    list_select_related = ("model_version", "requested_by")

    @admin.display
    def phase(self, run: TrainingRun) -> str | None:
        """Show the phase and, while it trains, the epoch."""
        progress = run.progress
        if not progress.get("epochs"):
            return progress.get("phase")
        return f"{progress.get('phase')}, epoch {progress.get('epoch')} of {progress['epochs']}"


@admin.register(LabellingRun)
class LabellingRunAdmin(ReadOnlyAdmin):
    """Labelling runs and how far they are."""

    list_display = (
        "id",
        "state",
        "done",
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
    readonly_fields = ("tasks_by_state",)
    actions = ("cancel_selected",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabellingRun]:
        """Return the runs with the number of their tasks that are done and that failed."""
        tasks = LabelTask.objects.filter(run=OuterRef("pk")).order_by()
        number = {
            name: Coalesce(Subquery(some.values("run").annotate(number=Count("pk")).values("number")), 0)
            for name, some in (("done", tasks.filter(state=LabelTask.State.DONE)), ("failed", tasks.errors()))
        }
        return super().get_queryset(request).annotate(done_tasks=number["done"], failed_tasks=number["failed"])

    @admin.display
    def done(self, run: LabellingRun) -> int:
        """Show how many tasks are done."""
        done: int = vars(run)["done_tasks"]
        return done

    @admin.display
    def failed(self, run: LabellingRun) -> int:
        """Show how many tasks are in the error queue."""
        failed: int = vars(run)["failed_tasks"]
        return failed

    @admin.display(description="Tasks by state")
    def tasks_by_state(self, run: LabellingRun) -> str:
        """Show the number of tasks in each state."""
        progress = get_run_progress(run)
        names = ("new", "running", "done", "waiting", "failed", "cancelled")
        return " · ".join(f"{getattr(progress, name)} {name}" for name in names)

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel runs."""
        return request.user.has_perm("classifier.change_labellingrun")

    @admin.action(description="Cancel selected runs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[LabellingRun]) -> None:
        """Cancel those of the selected runs that have not ended."""
        cancelled = [run for run in queryset if cancel_labelling_run(run)]
        for run in cancelled:
            self.log_change(request, run, "Cancelled.")
        self.message_user(request, f"{len(cancelled)} runs are cancelled.", messages.SUCCESS)


class ErrorQueueFilter(admin.SimpleListFilter):
    """The error queue, which is what one comes for, or every task."""

    title = "tasks"
    parameter_name = "tasks"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the choices beside the error queue."""
        return [("all", "All tasks")]

    def choices(self, changelist: ChangeList) -> Any:
        """Return the choices; the one without a value is the error queue."""
        first, *others = super().choices(changelist)
        return [{**first, "display": "Error queue"}, *others]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LabelTask]) -> QuerySet[LabelTask]:
        """Return the tasks that failed, unless all are asked for."""
        return queryset if self.value() == "all" else queryset.filter(pk__in=LabelTask.objects.errors().values("pk"))


class ErrorCodeFilter(admin.SimpleListFilter):
    """Failed tasks by their code."""

    title = "error code"
    parameter_name = "error_code"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the codes in the error queue; that is a small part of the ledger, with an index of its own."""
        codes = LabelTask.objects.errors().order_by("error_code").values_list("error_code", flat=True).distinct()
        return [(code, code) for code in codes if code]

    def queryset(self, request: HttpRequest, queryset: QuerySet[LabelTask]) -> QuerySet[LabelTask]:
        """Return the tasks with the chosen code."""
        return queryset.filter(error_code=self.value()) if self.value() else queryset


@admin.register(LabelTask)
class LabelTaskAdmin(ReadOnlyAdmin):
    """The error queue, and the ledger behind it."""

    list_display = (
        "id",
        "image",
        "state",
        "error_code",
        "attempts",
        "crashes",
        "first_failed_at",
        "last_failed_at",
        "run",
    )
    list_filter = (ErrorQueueFilter, ErrorCodeFilter, "state")
    list_select_related = ("image", "run")
    search_fields = ("image__url",)
    search_help_text = "The id of a task, or a part of the image's URL."


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
    list_filter = ("group", "status", "source")
    list_select_related = ("product", "model_version")
    search_fields = ("product__title",)
    search_help_text = "The id of a product, or words of its title."
    sortable_by = ()
    ordering = ("-pk",)
