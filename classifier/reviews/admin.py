"""People's labels in the admin, their runs, and the actions of other lists that give what is selected a label."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from catalog.browse.actions import ListButton, show_in_list
from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.models import SUGGESTION_CHOICES, QueueName, Review, ReviewRun, Verdict, describe_label, split_label
from classifier.reviews.batches import get_suggestion
from classifier.reviews.runs import cancel_review_run
from classifier.reviews.services import ReviewError, check_label, record_review, record_reviews, withdraw_reviews
from classifier.reviews.starting import start_review_run, withdraw_review_run
from classifier.runs.admin import RunAdmin
from classifier.runs.pages import warn_without_worker
from config.web.admin import LargeTableAdmin, LastingAdmin, Question, ask, count_up_to
from config.web.permissions import get_member


class ReviewForm(forms.ModelForm):
    """A person's label for an image."""

    class Meta:
        model = Review
        fields = ("image", "verdict", "group", "garment", "note")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A review outlives its image, and is given for one.
        if "image" in self.fields:
            self.fields["image"].required = True

    def clean(self) -> dict[str, Any]:
        """Refuse a garment of another group, and a group that does not go with the verdict."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                check_label(cleaned["group"], cleaned["garment"], verdict=cleaned["verdict"])
            except ReviewError as error:
                raise ValidationError({"garment" if cleaned["garment"] else "group": str(error)}) from error
        return cleaned


class ReviewAdmin(LastingAdmin):
    """People's labels: they are added and stay; a newer one wins."""

    form = ReviewForm
    readonly_fields = (
        "reviewer",
        "queue",
        "blind",
        "suggestion",
        "inclusion_probability",
        "control",
        "created_at",
        "withdrawn_at",
    )
    list_display = ("id", "image", "words", "queue", "blind", "reviewer", "created_at", "withdrawn_at")
    list_filter = ("verdict", "group", "queue")
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

    def get_fields(self, request: HttpRequest, obj: Review | None = None) -> tuple[str, ...]:
        """Return what is typed and, of a review that was given, who gave it and when."""
        return (*ReviewForm.Meta.fields, *(self.readonly_fields if obj else ()))

    def save_model(self, request: HttpRequest, obj: Review, form: forms.ModelForm, change: bool) -> None:
        """Record the label in the user's name; products that show the image have it at once."""
        recorded = record_review(
            cast(Image, obj.image),
            verdict=obj.verdict,
            group=obj.group,
            garment=obj.garment,
            reviewer=get_member(request),
            note=obj.note,
        )
        obj.pk, obj.reviewer, obj.created_at = recorded.pk, recorded.reviewer, recorded.created_at


# A run of 10,000 pictures takes some seconds.
REFRESH_SECONDS = 3


class ReviewRunAdmin(RunAdmin):
    """Labels that people gave to many pictures at once; who may give labels may see and cancel these runs."""

    list_display = ("id", "state", "words", "progress", "requested_by", "created_at", "finished_at")
    list_select_related = ("requested_by",)
    fields = (
        "state",
        "words",
        "progress",
        "skipped",
        "note",
        "withdrawn_at",
        "requested_by",
        "created_at",
        "finished_at",
    )
    readonly_fields = ("words", "progress")
    actions = (*RunAdmin.actions, "withdraw_selected")
    cancel_run = staticmethod(cancel_review_run)
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
            number = withdraw_review_run(run)
            self.log_change(request, run, f"Withdrew {number} labels.")
            left = ", the last of them by workers" if run.is_withdrawing else ""
            self.message_user(request, f"{number:,} labels of run {run.pk} are withdrawn{left}.")
        return None

    def has_withdraw_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may withdraw anybody's reviews."""
        return request.user.has_perm("classifier.change_review")

    def count_left(self, running: Sequence[ReviewRun]) -> int:
        """Return how many pictures the runs have not looked at."""
        return sum(run.total - run.done - run.skipped for run in running)


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

    def find_suggestions(self, rows: Sequence[Any]) -> dict[int, str]:
        """Return what the list says of the images, by their ids; this one says nothing."""
        return {}

    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Any], *, label: str) -> HttpResponse | None:
        """Ask, then record a person's label and log it: at once for what a person looks at, in a run for more."""
        words = describe_label(**split_label(label))
        if count_up_to(queryset, maximum=self.maximum_chosen) > self.maximum_chosen:
            return self._start_review_run(request, queryset, label=label)
        rows = list(queryset)
        images, marked = self.list_marked(rows)
        name = str(self.opts.verbose_name_plural)
        question = Question(
            title=f"Mark as {words}?",
            text="Your label wins over every classifier's from now on, on every product that shows the image.",
            button=f"Mark as {words}",
            counts=[
                (f"Selected {name}", f"{len(rows):,}"),
                ("Images that get the label", f"{len(list(images)):,}"),
                (f"Selected {name} without an image", f"{len(rows) - len(marked):,}"),
                self._count_replaced(images),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        member = get_member(request)
        said: dict[str, Any] = split_label(label)
        with transaction.atomic():
            record_reviews(
                [image.pk for image in images],
                **said,
                reviewer_id=member.pk,
                queue=QueueName.LIST,
                suggestions=self.find_suggestions(rows),
                note=f"Marked in the list of {name}.",
            )
            LogEntry.objects.log_actions(member.pk, marked, CHANGE, change_message=f"Marked as {words}.")
        self.message_user(request, f"{len(marked)} {name} are marked as {words}.", messages.SUCCESS)
        if skipped := len(rows) - len(marked):
            self.message_user(request, f"{skipped} selected {name} have no image to mark.", messages.WARNING)
        return None

    def _count_replaced(self, images: Iterable[Any]) -> tuple[str, str]:
        """Return how many labels of people go, in words, for nobody's is written over unseen."""
        given = ProductLabel.objects.filter(image__in=images, source=ProductLabel.Source.PERSON)
        return ("Products with a person's label, which yours replaces", self.count_in_words(given))

    def _start_review_run(self, request: HttpRequest, queryset: QuerySet[Any], *, label: str) -> HttpResponse | None:
        name, words = str(self.opts.verbose_name_plural), describe_label(**split_label(label))
        images = self.list_marked_images(queryset)
        question = Question(
            title=f"Mark as {words}?",
            text="Your label wins over every classifier's, on every product that shows the image. These are too many "
            "to mark while you wait: a run of reviews does it in the background, and can be cancelled.",
            button="Start the run",
            counts=[
                (f"Selected {name}", self.count_in_words(queryset)),
                ("Images that get the label", self.count_in_words(images)),
                self._count_replaced(images.values("pk")),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        note = f"Marked in the list of {name}."
        run = start_review_run(images, **split_label(label), reviewer=get_member(request), note=note)
        self.log_addition(request, run, f"Started over {run.total} images.")
        address = reverse("review-run-detail", args=[run.pk])
        text = format_html('<a href="{}">Review run {}</a> marks {} images as {}.', address, run.pk, run.total, words)
        self.message_user(request, text, messages.SUCCESS)
        warn_without_worker(request)
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

    def find_suggestions(self, rows: Sequence[Product]) -> dict[int, str]:
        """Return the labels that the list shows of the products, by their images' ids."""
        shown = ProductLabel.objects.filter(product__in=rows, image__isnull=False)
        return {cast(int, label.image_id): get_suggestion(label) for label in shown}

    @show_in_list(ListButton("Mark as", "Undo", key="z", is_shown=False))
    @admin.action(description="Take back your labels", permissions=["review"])
    def take_back_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask, then withdraw the newest of the user's labels of each selected product's first image."""
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="take back"):
            return None
        images = self.list_marked_images(queryset)
        given = Review.objects.standing().filter(image__in=images, reviewer=get_member(request))
        newest = dict(given.order_by("pk").values_list("image_id", "pk"))
        question = Question(
            title="Take back your labels?",
            text="Each picture has the label then that it had before your newest one.",
            button="Take back",
            counts=[("Labels that you gave", f"{len(newest):,}")],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        number = withdraw_reviews(Review.objects.filter(pk__in=newest.values()))
        self.message_user(request, f"{number:,} of your labels {'is' if number == 1 else 'are'} taken back.")
        return None


class ImageMarkingMixin(MarkingMixin):
    """An admin of images whose actions mark each."""

    def list_marked(self, rows: Sequence[Image]) -> tuple[Iterable[Image], Sequence[Image]]:
        """Return each image."""
        images = sorted(rows, key=lambda image: image.pk)
        return images, images

    def list_marked_images(self, queryset: QuerySet[Image]) -> QuerySet[Image]:
        """Return each image."""
        return queryset


def build_mark_action(
    label: str, words: str, *, key: str
) -> Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    """Return the admin action that gives each selected product's first image, or each image, a person's label."""

    @show_in_list(ListButton("Mark as", words, key=key, undo="take_back_selected"))
    @admin.action(description=f"Mark as {words}", permissions=["review"])
    def mark_as_label(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return model_admin.mark_selected(request, queryset, label=label)

    mark_as_label.__name__ = f"mark_as_{label.lower().replace(' ', '_')}"
    return mark_as_label


MARK_ACTIONS = tuple(
    build_mark_action(label, words, key="x" if label == Verdict.UNUSABLE else f"{number}")
    for number, (label, words) in enumerate(SUGGESTION_CHOICES, start=1)
)
