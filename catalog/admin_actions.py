"""Actions on selected rows: each asks first and says how many it is about, needs a permission, and is logged."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from catalog.admin_lists import MAXIMUM_CHOSEN, LargeTableAdmin, count_up_to, get_member
from catalog.export_views import BUSY, BusyError, build_export_response
from catalog.exporting import ExportReport
from catalog.exports import encode_products
from catalog.models import Image, Product
from classifier.dispatch import start_labelling_run
from classifier.listing import PRODUCT_ORDERINGS
from classifier.ml.labels import GROUPS
from classifier.review_dispatch import start_review_run
from classifier.selectors import NoActiveModelVersionError, find_active_model_version
from classifier.services import record_review

# Rows that one export writes, and one decision on the error queue is about: as many as a list counts. Runs take any.
MAXIMUM_SELECTED = 10_000


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before an action: `counts` name what it is about."""

    title: str
    text: str
    button: str
    counts: Sequence[tuple[str, str]]


def ask(
    model_admin: admin.ModelAdmin, request: HttpRequest, queryset: QuerySet[Any], *, question: Question
) -> HttpResponse | None:
    """Return the page that asks, or None once the question was answered with yes.

    Up to `MAXIMUM_CHOSEN` rows are named one by one, so that what is done is what was asked about.
    """
    if "confirmed" in request.POST:
        return None
    ids = list(queryset.order_by().values_list("pk", flat=True)[: MAXIMUM_CHOSEN + 1])
    all_of_them = len(ids) > MAXIMUM_CHOSEN
    context = {
        **model_admin.admin_site.each_context(request),
        "title": question.title,
        "question": question,
        "opts": model_admin.opts,
        "action": request.POST.get("action", ""),
        "checkbox": ACTION_CHECKBOX_NAME,
        "ids": ids[:1] if all_of_them else ids,
        "all_of_them": all_of_them,
    }
    return TemplateResponse(request, "admin/action_confirmation.html", context)


def count_in_words(queryset: QuerySet[Any]) -> str:
    """Return the number of rows, "more than 10,000" where it was not counted further."""
    number = count_up_to(queryset, maximum=MAXIMUM_SELECTED)
    return f"more than {MAXIMUM_SELECTED:,}" if number > MAXIMUM_SELECTED else f"{number:,}"


class MarkingAdmin(LargeTableAdmin):
    """An admin whose actions give what is selected a person's label."""

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may give labels."""
        return request.user.has_perm("classifier.add_review")

    def list_marked(self, rows: Sequence[Any]) -> tuple[Iterable[Image], Sequence[Any]]:
        """Return the images that get the label, and the rows that show them."""
        raise TypeError(f"expected {type(self).__name__} to say which images are marked")

    def list_marked_images(self, queryset: QuerySet[Any]) -> QuerySet[Image]:
        """Return the images that get the label when all of these rows are marked."""
        raise TypeError(f"expected {type(self).__name__} to say which images are marked")

    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Any], *, group: str) -> HttpResponse | None:
        """Ask, then record a person's label and log it: at once for what a person looks at, in a run for more."""
        if count_up_to(queryset, maximum=MAXIMUM_CHOSEN) > MAXIMUM_CHOSEN:
            return self._start_review_run(request, queryset, group=group)
        rows = list(queryset)
        images, marked = self.list_marked(rows)
        name = str(self.opts.verbose_name_plural)
        question = Question(
            title=f"Mark as {group}?",
            text="Your label wins over every classifier's from now on, on every product that shows the image.",
            button=f"Mark as {group}",
            counts=[
                (f"Selected {name}", f"{len(rows):,}"),
                ("Images that get the label", f"{len(list(images)):,}"),
                (f"Selected {name} without an image", f"{len(rows) - len(marked):,}"),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        with transaction.atomic():
            for image in images:
                record_review(image, group=group, reviewer=get_member(request), note=f"Marked in the list of {name}.")
            LogEntry.objects.log_actions(get_member(request).pk, marked, CHANGE, change_message=f"Marked as {group}.")
        self.message_user(request, f"{len(marked)} {name} are marked as {group}.", messages.SUCCESS)
        if skipped := len(rows) - len(marked):
            self.message_user(request, f"{skipped} selected {name} have no image to mark.", messages.WARNING)
        return None

    def _start_review_run(self, request: HttpRequest, queryset: QuerySet[Any], *, group: str) -> HttpResponse | None:
        name = str(self.opts.verbose_name_plural)
        images = self.list_marked_images(queryset)
        question = Question(
            title=f"Mark as {group}?",
            text="Your label wins over every classifier's, on every product that shows the image. These are too many "
            "to mark while you wait: a run of reviews does it in the background, and can be cancelled.",
            button="Start the run",
            counts=[
                (f"Selected {name}", count_in_words(queryset)),
                ("Images that get the label", count_in_words(images)),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        run = start_review_run(images, group=group, reviewer=get_member(request), note=f"Marked in the list of {name}.")
        self.log_addition(request, run, f"Started over {run.total} images.")
        address = reverse("admin:classifier_reviewrun_change", args=[run.pk])
        text = format_html('<a href="{}">Review run {}</a> marks {} images as {}.', address, run.pk, run.total, group)
        self.message_user(request, text, messages.SUCCESS)
        return None


def build_mark_action(group: str) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    """Return the admin action that gives each selected product's first image, or each image, a person's label."""

    @admin.action(description=f"Mark as {group}", permissions=["review"])
    def mark_as_group(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        page: HttpResponse | None = model_admin.mark_selected(request, queryset, group=group)
        return page

    mark_as_group.__name__ = f"mark_as_{group.lower().replace(' ', '_')}"
    return mark_as_group


MARK_ACTIONS = tuple(build_mark_action(group) for group in GROUPS)


class LabellingAdmin(MarkingAdmin):
    """An admin of products whose actions label what is selected, in a run, or export it."""

    def has_label_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may start labelling runs."""
        return request.user.has_perm("classifier.add_labellingrun")

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may export products with their labels."""
        return request.user.has_perm("classifier.view_productlabel")

    @admin.action(description="Label selected products", permissions=["label"])
    def label_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask, then start a labelling run over every image of the selected products that has no label yet."""
        return self._start_run(request, queryset, relabel=False)

    @admin.action(description="Label selected products again", permissions=["label"])
    def relabel_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask, then start a labelling run over every image of the selected products, labelled or not."""
        return self._start_run(request, queryset, relabel=True)

    def _start_run(self, request: HttpRequest, queryset: QuerySet[Product], *, relabel: bool) -> HttpResponse | None:
        version = find_active_model_version()
        if version is None:
            self.message_user(request, str(NoActiveModelVersionError()), messages.ERROR)
            return None
        images = Image.objects.filter(product_images__product__in=queryset.order_by().values("pk")).distinct()
        which = "every image, labelled or not" if relabel else f"the images that {version.name} has not labelled yet"
        question = Question(
            title="Label these products again?" if relabel else "Label these products?",
            text=f"A labelling run with {version.name} takes {which}. Images that another run holds stay with it.",
            button="Start the run",
            counts=[
                ("Selected products", count_in_words(queryset)),
                ("Their images", count_in_words(images)),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        try:
            run = start_labelling_run(images=images, relabel=relabel, user=get_member(request))
        except NoActiveModelVersionError as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        self.log_addition(request, run, f"Started over selected products{', labelled or not' if relabel else ''}.")
        address = reverse("labelling-run-detail", args=[run.pk])
        number = f"{run.total}{' and more' if run.is_taking else ''}"
        text = format_html('<a href="{}">Labelling run {}</a> started over {} images.', address, run.pk, number)
        self.message_user(request, text, messages.SUCCESS)
        return None

    @admin.action(description="Export selected products as CSV", permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="csv")

    @admin.action(description="Export selected products as JSON Lines", permissions=["export"])
    def export_jsonl(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="jsonl")

    def _export(self, request: HttpRequest, queryset: QuerySet[Product], *, suffix: str) -> HttpResponseBase | None:
        if self.is_more_than(request, queryset, maximum=MAXIMUM_SELECTED, verb="export"):
            return None
        ordering = PRODUCT_ORDERINGS["id"]
        parts = encode_products(queryset, ordering=ordering, suffix=suffix, report=ExportReport())
        try:
            return build_export_response(parts, suffix=suffix, name="selected-products")
        except BusyError:
            self.message_user(request, BUSY, messages.ERROR)
            return None
