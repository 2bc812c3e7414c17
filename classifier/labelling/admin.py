"""Labelling runs, what was said of pictures, and the ledger with its error queue, in the admin."""

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.views.main import ChangeList
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from catalog.admin.lists import render_thumbnail, show_confidence
from catalog.models import ProductImages
from classifier.labelling.errors import MAXIMUM_ERRORS, ignore_errors, retry_errors
from classifier.labelling.outputs import cancel_output_run
from classifier.labelling.reports import get_run_report
from classifier.labelling.runs import cancel_labelling_run
from classifier.labels.placeholders import answer_suspects
from classifier.labels.reads import get_probabilities
from classifier.models import Classification, LabellingRun, LabelTask, OutputRun, SuspectedPicture
from classifier.runs.admin import RunAdmin
from classifier.runs.pages import warn_without_worker
from config.web.admin import Question, ReadOnlyAdmin, ask
from config.web.permissions import get_member
from config.web.texts import remove_bidi_controls


class LabellingRunAdmin(RunAdmin):
    """Labelling runs and how far they are."""

    list_display = (
        "id",
        "state",
        "errors",
        "total",
        "model_version",
        "requested_by",
        "created_at",
        "finished_at",
    )
    list_select_related = ("model_version", "requested_by")
    list_per_page = 25
    exclude = ("figures",)
    readonly_fields = ("tasks_by_state", "errors")
    cancel_run = staticmethod(cancel_labelling_run)
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
    def errors(self, run: LabellingRun) -> SafeString | str:
        """Show how many tasks are in the error queue, with a link to them there."""
        failed: int = vars(run)["failed_tasks"]
        if not failed:
            return "0"
        address = reverse("admin:classifier_labeltask_changelist", query={"run__id__exact": run.pk})
        return format_html('<a href="{}">{}</a>', address, failed)

    @admin.display(description="Tasks by state")
    def tasks_by_state(self, run: LabellingRun) -> str:
        """Show the number of tasks in each state."""
        progress = get_run_report(run).progress
        names = ("new", "running", "done", "waiting", "failed", "cancelled")
        more = ["takes more pictures"] if run.is_taking else []
        return " · ".join([*(f"{getattr(progress, name)} {name}" for name in names), *more])

    def count_left(self, running: Sequence[LabellingRun]) -> int:
        """Return how many pictures the runs hold."""
        return LabelTask.objects.open().filter(run__in=running).count()


class OutputRunAdmin(RunAdmin):
    """Updates of the pictures by group."""

    list_display = fields = (
        "id",
        "state",
        "storage",
        "filters",
        "done",
        "figures",
        "started_at",
        "finished_at",
        "error",
    )
    ordering = ("-id",)
    sortable_by = ()
    cancel_run = staticmethod(cancel_output_run)
    cancel_permission = "classifier.change_outputrun"
    cancel_text = "Files that were written stay, each of them whole, and the next update goes on from there."

    def view_on_site(self, run: OutputRun) -> str:
        """Return the address of the run's page."""
        return reverse("output-run-detail", args=[run.pk])


class ClassificationAdmin(ReadOnlyAdmin):
    """What model versions said."""

    list_display = (
        "id",
        "thumbnail",
        "image",
        "group",
        "garment",
        show_confidence,
        "abstained",
        "garment_unsure",
        "model_version",
        "created_at",
    )
    list_display_links = ("id", "image")
    list_filter = ("group", "abstained", "garment_unsure", "model_version")
    list_select_related = ("image", "model_version")
    search_fields = ("image__url",)
    fields: ClassVar[Any] = (
        "thumbnail",
        "image",
        "group",
        "garment",
        show_confidence,
        "abstained",
        "garment_unsure",
        "none_probability",
        "probabilities",
        "model_version",
        "run",
        "sha256",
        "created_at",
    )
    readonly_fields: ClassVar[Any] = ("thumbnail", show_confidence, "probabilities")

    @admin.display(description="picture")
    def thumbnail(self, classification: Classification) -> SafeString | str:
        """Show the picture that was classified."""
        return render_thumbnail(classification.sha256)

    @admin.display
    def probabilities(self, classification: Classification) -> SafeString:
        """Show the probability of each group and each garment."""
        by_garment, by_group = get_probabilities(classification)
        rows = [(name, f"{value:.1%}") for name, value in (by_group | by_garment).items()]
        return format_html_join("", "<div>{} {}</div>", rows)


SHOWN_URL_LENGTH = 40


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


class LabelTaskAdmin(ReadOnlyAdmin):
    """The error queue, and the ledger behind it."""

    list_display = (
        "id",
        "error_code",
        "state",
        "attempts",
        "crashes",
        "first_failed_at",
        "last_failed_at",
        "next_try",
        "product",
        "short_url",
        "run",
    )
    list_filter = (ErrorQueueFilter, ErrorCodeFilter, "state")
    list_select_related = ("image", "run")
    search_fields = ("image__url",)
    search_help_text = "The id of a task, or a part of the image's URL."
    exclude = ("former",)
    readonly_fields = ("product", "next_try")
    actions = ("retry_selected", "ignore_selected")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LabelTask]:
        """Return the tasks with the id of the first product that shows the picture."""
        places = ProductImages.objects.filter(image=OuterRef("image")).order_by("image_index", "pk")
        return super().get_queryset(request).annotate(product_id=Subquery(places.values("product")[:1]))

    @admin.display
    def product(self, task: LabelTask) -> SafeString | None:
        """Link to the page of a product that shows the picture."""
        product_id = vars(task)["product_id"]
        if product_id is None:
            return None
        return format_html('<a href="{}">Product {}</a>', reverse("product-detail", args=[product_id]), product_id)

    @admin.display(description="image")
    def short_url(self, task: LabelTask) -> str:
        """Show the end of the image's URL, where images of one shop differ."""
        url = remove_bidi_controls(task.image.url)
        return url if len(url) <= SHOWN_URL_LENGTH else f"…{url[-SHOWN_URL_LENGTH:]}"

    @admin.display
    def next_try(self, task: LabelTask) -> str | None:
        """Show when it is tried again, if it waits for that."""
        return localize(task.next_try_at) if task.next_try_at and task.state == LabelTask.State.RETRY else None

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may say what becomes of a failed picture."""
        return request.user.has_perm("classifier.change_labeltask")

    @admin.action(description="Try selected pictures again", permissions=["decide"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[LabelTask]) -> HttpResponse | None:
        """Ask, then let the selected pictures be tried again, now."""
        return self._decide(
            request,
            queryset,
            change=retry_errors,
            verb="try again",
            done="tried again",
            title="Try these pictures again?",
            text="Each picture is tried at once, as often as a new one, by the run and with the version it failed in.",
        )

    @admin.action(description="Ignore selected pictures", permissions=["decide"])
    def ignore_selected(self, request: HttpRequest, queryset: QuerySet[LabelTask]) -> HttpResponse | None:
        """Ask, then leave the selected pictures alone until somebody tries them again."""
        return self._decide(
            request,
            queryset,
            change=ignore_errors,
            verb="ignore",
            done="ignored",
            title="Ignore these pictures?",
            text="No run takes these pictures again, until somebody tries them again here.",
        )

    def _decide(
        self,
        request: HttpRequest,
        queryset: QuerySet[LabelTask],
        *,
        change: Callable[[Collection[int]], int],
        verb: str,
        done: str,
        title: str,
        text: str,
    ) -> HttpResponse | None:
        """Ask, with the number of pictures by error code, then apply the change in bounded parts, each logged."""
        if self.is_more_than(request, queryset, maximum=self.maximum_selected, verb=verb):
            return None
        selected = LabelTask.objects.errors().filter(pk__in=queryset.order_by().values("pk"))
        by_code = selected.values_list("error_code").annotate(number=Count("pk")).order_by("-number", "error_code")
        counts = [(code or "no code", f"{number:,}") for code, number in by_code]
        question = Question(title=title, text=text, button=verb.capitalize(), counts=counts)
        if page := ask(self, request, queryset, question=question):
            return page
        task_ids = iter(list(queryset.order_by("pk").values_list("pk", flat=True)))
        changed = 0
        while part := list(islice(task_ids, MAXIMUM_ERRORS)):
            with transaction.atomic():
                changed += change(part)
                tasks = LabelTask.objects.filter(pk__in=part)
                LogEntry.objects.log_actions(
                    get_member(request).pk, tasks, CHANGE, change_message=f"{done.capitalize()}."
                )
        self.message_user(request, f"{changed} pictures are {done}.", messages.SUCCESS)
        if change is retry_errors:
            warn_without_worker(request)
        return None


class SuspectedPictureAdmin(ReadOnlyAdmin):
    """Pictures that may be placeholders, and what people answered; here an answer can be given again."""

    list_display = ("id", "thumbnail", "products", "found_at", "answer", "answered_by", "answered_at")
    list_filter = ("answer",)
    list_select_related = ("answered_by",)
    fields = ("thumbnail", "sha256", "products", "found_at", "answer", "answered_by", "answered_at")
    readonly_fields = ("thumbnail",)
    actions = ("answer_picture", "answer_ignore")

    @admin.display(description="picture")
    def thumbnail(self, suspect: SuspectedPicture) -> SafeString | str:
        """Show the picture."""
        return render_thumbnail(suspect.sha256)

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may say what becomes of the entries of the error queue."""
        return request.user.has_perm("classifier.change_labeltask")

    @admin.action(description="Selected are pictures", permissions=["decide"])
    def answer_picture(self, request: HttpRequest, queryset: QuerySet[SuspectedPicture]) -> HttpResponse | None:
        """Ask, then let the selected pictures be labelled as any other."""
        return self._answer(
            request,
            queryset,
            answer=SuspectedPicture.Answer.PICTURE,
            question="Are these pictures of their products?",
            text="The products that show them are labelled as any other from now on.",
        )

    @admin.action(description="Ignore selected placeholders", permissions=["decide"])
    def answer_ignore(self, request: HttpRequest, queryset: QuerySet[SuspectedPicture]) -> HttpResponse | None:
        """Ask, then take the selected pictures for placeholders for good."""
        return self._answer(
            request,
            queryset,
            answer=SuspectedPicture.Answer.IGNORE,
            question="Ignore these placeholders?",
            text="The products that show them need review until they show another picture first.",
        )

    def _answer(
        self, request: HttpRequest, queryset: QuerySet[SuspectedPicture], *, answer: str, question: str, text: str
    ) -> HttpResponse | None:
        if self.is_more_than(request, queryset, maximum=self.maximum_chosen, verb="answer"):
            return None
        suspects = list(queryset)
        counts = [("Products that show them", f"{sum(suspect.products for suspect in suspects):,}")]
        if page := ask(self, request, queryset, question=Question(question, text, "Answer", counts)):
            return page
        number = answer_suspects(
            [suspect.pk for suspect in suspects], answer=answer, user=get_member(request), again=True
        )
        for suspect in suspects:
            self.log_change(request, suspect, f"Answered: {answer}.")
        self.message_user(request, f"{number} pictures are answered.", messages.SUCCESS)
        return None
