"""Actions of the admin's lists that give what is selected a person's label."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from catalog.models import Image, Product, ProductImages
from classifier.ml.labels import GROUPS
from classifier.reviews.services import record_review
from classifier.reviews.starting import start_review_run
from config.web.admin import LargeTableAdmin, Question, ask, count_up_to, get_member


class MarkingMixin(LargeTableAdmin):
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
        if count_up_to(queryset, maximum=self.maximum_chosen) > self.maximum_chosen:
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
                (f"Selected {name}", self.count_in_words(queryset)),
                ("Images that get the label", self.count_in_words(images)),
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


class ProductMarkingMixin(MarkingMixin):
    """An admin of products whose actions mark the first image of each."""

    def list_marked(self, rows: Sequence[Product]) -> tuple[Iterable[Image], Sequence[Product]]:
        """Return the first image of each product, and the products that have one."""
        placements = ProductImages.objects.filter(product__in=[product.pk for product in rows], image_index=0)
        images = list(Image.objects.filter(product_images__in=placements).distinct().order_by("pk"))
        return images, [product for product in rows if product.image_url is not None]

    def list_marked_images(self, queryset: QuerySet[Product]) -> QuerySet[Image]:
        """Return the first image of each product."""
        products = queryset.order_by().values("pk")
        return Image.objects.filter(product_images__product__in=products, product_images__image_index=0).distinct()


class ImageMarkingMixin(MarkingMixin):
    """An admin of images whose actions mark each."""

    def list_marked(self, rows: Sequence[Image]) -> tuple[Iterable[Image], Sequence[Image]]:
        """Return each image."""
        images = sorted(rows, key=lambda image: image.pk)
        return images, images

    def list_marked_images(self, queryset: QuerySet[Image]) -> QuerySet[Image]:
        """Return each image."""
        return queryset


def build_mark_action(group: str) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    """Return the admin action that gives each selected product's first image, or each image, a person's label."""

    @admin.action(description=f"Mark as {group}", permissions=["review"])
    def mark_as_group(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        page: HttpResponse | None = model_admin.mark_selected(request, queryset, group=group)
        return page

    mark_as_group.__name__ = f"mark_as_{group.lower().replace(' ', '_')}"
    return mark_as_group


MARK_ACTIONS = tuple(build_mark_action(group) for group in GROUPS)
