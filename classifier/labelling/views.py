"""The pages of labelling runs and of the error queue: for those who may see them, with forms for those who may act."""

import uuid
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest
from django.db.models import Q
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.text import Truncator
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework.exceptions import ValidationError

from catalog.browse.filters import keep_list_query
from catalog.labels import get_label_summary
from catalog.models import Image
from catalog.pictures.decoding import PictureError
from catalog.pictures.formats import MAX_FILE_BYTES
from catalog.pictures.replacing import store_upload
from catalog.pictures.storage import StorageError
from catalog.values import RecordError, clean_image_url
from classifier.labelling.api import ErrorListQuery
from classifier.labelling.errors import (
    MAXIMUM_ERRORS,
    MENDING,
    QUEUE_WORDS,
    get_error_words,
    ignore_entries,
    keep_entries,
    mend_image,
    retry_errors,
    retry_run_errors,
)
from classifier.labelling.reports import RunReport, forget_run_report, get_run_report
from classifier.labelling.runs import cancel_labelling_run
from classifier.labelling.selectors import LATEST_FAILURE_FIRST, SUSPECTED, list_newest_products, with_first_product
from classifier.labelling.serializers import LabellingRunRequestSerializer
from classifier.labelling.starting import IdempotencyKeyError, ShadowError, start_labelling_run
from classifier.labels.decision import PLACEHOLDER
from classifier.models import LabellingRun, LabelTask, SuspectedPicture
from classifier.registry.selectors import NoActiveModelVersionError, find_active_model_version
from classifier.runs.pages import answer_run_list, cancel_run, describe_run
from classifier.runs.workers import find_queue_health
from config.db.paging import InvalidCursorError, get_page
from config.web.bodies import takes_body
from config.web.permissions import get_member
from config.web.queries import check_parameters, parse_id, pick_parameters
from config.web.responses import MAXIMUM_KEY_LENGTH
from config.web.texts import format_duration, remove_bidi_controls

# Pictures that one press of the button tries again at most; a request then takes a few seconds, and says what is left.
MAXIMUM_RETRIED = 20 * MAXIMUM_ERRORS
# Of what a run labelled, once it has ended.
SHOWN_PRODUCTS = 8


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.view_labellingrun", raise_exception=True)
def labelling_run_list(request: HttpRequest) -> HttpResponse:
    """Answer with the labelling runs, newest first; by POST start another one and answer with its page."""
    key = request.POST.get("key", "")[:MAXIMUM_KEY_LENGTH] or None
    if key is not None and not key.isprintable():
        raise BadRequest("Expected a key of printable characters.")
    return answer_run_list(
        request,
        LabellingRun.objects.select_related("model_version", "requested_by"),
        form_class=LabellingRunRequestSerializer,
        start=partial(start_labelling_run, user=get_member(request), idempotency_key=key),
        refusals=(NoActiveModelVersionError, IdempotencyKeyError, ShadowError),
        describe=partial(describe_pictures, again="Label again", missing="Only missing"),
        route="labelling-run",
        # The form's key: sent twice, it starts one run. The version is asked for where there are no runs.
        context={"chosen": {}, "key": uuid.uuid4().hex, "active": find_active_model_version},
    )


@require_safe
@login_required
@permission_required("classifier.view_labellingrun", raise_exception=True)
def labelling_run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one run: how far it is, how fast it goes, what failed. The page asks again while something is due."""
    run = get_object_or_404(LabellingRun.objects.select_related("model_version", "requested_by"), pk=pk)
    report = get_run_report(run)
    is_running = run.state == LabellingRun.State.RUNNING
    progress = report.progress
    products = [] if is_running else list_newest_products(run, count=SHOWN_PRODUCTS)
    shown = [(product, get_label_summary(product)) for product in products]
    context = {
        **describe_run(request, run, route="labelling-run", is_due=report.retried > 0),
        "report": report,
        "is_running": is_running,
        "live": is_running or report.retried > 0,
        "which": describe_pictures(run, again="All, labelled again", missing="Only those without a label"),
        "finished": describe_finished(report),
        "numbers": list_numbers(report, run=run),
        "parts": list_parts(report),
        # Of a number that grows nothing is a share.
        "share": None if report.taking else progress.finished / progress.total if progress.total else 1.0,
        # For a screen reader, which hears it at each change.
        "announced": describe_tenths(report) if is_running else "",
        "left": format_duration(report.seconds_left) if is_running and report.seconds_left is not None else "",
        "codes": [(code, get_error_words(code), number) for code, number in report.codes],
        "errors": [
            {**error, "words": get_error_words(error["code"]), "url": remove_bidi_controls(error["url"])}
            for error in report.errors
        ],
        "failures": report.failures,
        "products": [(product, label, label.group or label.status_name) for product, label in shown],
    }
    return render(request, "classifier/labelling_run_detail.html", context)


@require_POST
@login_required
@permission_required("classifier.change_labellingrun", raise_exception=True)
def labelling_run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a run that has not ended, and answer with its page."""
    run = get_object_or_404(LabellingRun, pk=pk)
    return cancel_run(request, run, cancel=cancel_labelling_run, route="labelling-run")


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def labelling_run_retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Try what failed in a run again, now, and answer with its page; what people chose to ignore stays."""
    run = get_object_or_404(LabellingRun, pk=pk)
    retried, is_all = retry_run_errors(run, maximum=MAXIMUM_RETRIED)
    rest = "" if is_all else " There are more: press the button again."
    pictures = "1 picture is" if retried == 1 else f"{retried:,} pictures are"
    messages.success(request, f"{pictures} tried again.{rest}")
    forget_run_report(run)
    return redirect("labelling-run-detail", run.pk)


def describe_pictures(run: LabellingRun, *, again: str, missing: str) -> str:
    """Return which pictures a run is over, in these words for one that labels again and for another, with its limit."""
    words = again if run.relabel else "Held, without features" if run.features_only else missing
    if run.shadow:
        return f"Shadow of {run.sample:,} products" if run.sample else "Shadow of all products"
    return f"{words}, at most {run.limit:,}" if run.limit else words


def describe_finished(report: RunReport) -> str:
    """Return how many pictures are finished, and of how many."""
    words = f"{report.progress.finished:,} of {report.progress.total:,}"
    return f"{words} so far" if report.taking else words


def describe_tenths(report: RunReport) -> str:
    """Return how much is done in steps of a tenth; nothing while the run takes more pictures."""
    progress = report.progress
    return "" if report.taking else f"{10 * (10 * progress.finished // max(1, progress.total))} percent done"


def list_numbers(report: RunReport, *, run: LabellingRun) -> list[tuple[str, int, str]]:
    """Return (name, number of pictures, part of the bar) for what a run's page says at a glance.

    Pictures that are labelled again belong to the run that does it.
    """
    progress = report.progress
    always = [
        ("Pictures so far" if report.taking else "Pictures", progress.total, ""),
        ("Looked at" if run.features_only else "Labelled", progress.done, "sure"),
        ("of them not sure", report.unsure, "unsure"),
        ("Failed", progress.failed, "failed"),
        ("To do", progress.new + progress.running, ""),
    ]
    ended = run.state != LabellingRun.State.RUNNING
    sometimes = [
        ("Labelled from features", run.from_features, ""),
        ("Waited for another try at the end" if ended else "Wait for another try", progress.waiting, "failed"),
        ("Cancelled", progress.cancelled, ""),
        ("Will be tried again", report.retried, ""),
        ("Labelled again later, or deleted", report.taken - progress.total, ""),
    ]
    return always + [entry for entry in sometimes if entry[1] > 0]


def list_parts(report: RunReport) -> list[tuple[str, float, float]]:
    """Return (class, beginning, width) of the parts of a run's bar, which is 100 wide: sure, not sure, not labelled."""
    progress = report.progress
    sure = max(0, progress.done - report.unsure)
    parts = [("sure", sure), ("unsure", progress.done - sure), ("failed", progress.failed + progress.waiting)]
    found, beginning = [], 0.0
    for name, number in parts:
        width = 100 * number / progress.total if progress.total else 0.0
        found.append((name, beginning, width))
        beginning += width
    return found


ERRORS_PER_PAGE = 50
# What one press of a button may touch: more than a page shows.
MAXIMUM_CHOSEN = 100
STATE_WORDS = {
    SUSPECTED: "Waits for an answer",
    LabelTask.State.RETRY: "Waits for its next try",
    LabelTask.State.FAILED: "Given up",
    LabelTask.State.IGNORED: "Ignored",
}

# In place of these words once the time for the next try has come: the reason is that of the last one.
TRIED_NOW = "Is tried again now"


@require_safe
@login_required
@permission_required("classifier.view_labeltask", raise_exception=True)
def error_list(request: HttpRequest) -> HttpResponse:
    """Answer with the pictures that failed, or may be placeholders, the latest first; filters are in the address."""
    parameters, filters = pick_parameters(ErrorListQuery, request.GET)
    context: dict[str, Any] = {
        "parameters": parameters,
        "filters": filters,
        "codes": list(QUEUE_WORDS.items()),
        "states": list(STATE_WORDS.items()),
    }
    try:
        query = check_parameters(ErrorListQuery, parameters)
    except ValidationError as error:
        return render(request, "classifier/error_list.html", context | {"errors": error.detail}, status=400)
    try:
        page = get_page(
            with_first_product(query.list_errors())
            .annotate(is_due=Q(state=LabelTask.State.RETRY, next_try_at__lte=Now()))
            .select_related("image__stored_picture"),
            ordering=LATEST_FAILURE_FIRST,
            page_size=query.get_page_size(default=ERRORS_PER_PAGE),
            cursor=query.get_cursor(),
            beside=[query.list_suspects()],
        )
    except InvalidCursorError as error:
        raise Http404 from error
    rows = [describe_suspect(row) if isinstance(row, SuspectedPicture) else describe_error(row) for row in page.rows]
    context |= {"page": page, "rows": rows, "has_failures": any("task" in row for row in rows)}
    context["may_mend"] = request.user.has_perms(MENDING)
    context["worker"] = find_queue_health(LabellingRun.queue)
    if not page.rows:
        context["has_runs"] = LabellingRun.objects.exists()
    return render(request, "classifier/error_list.html", context)


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def error_retry(request: HttpRequest) -> HttpResponse:
    """Try the chosen pictures again, now, and answer with the page that they were chosen on."""
    return change_chosen(request, change=retry_errors, done="tried again")


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def error_ignore(request: HttpRequest) -> HttpResponse:
    """Leave the chosen pictures alone, and answer with the page that they were chosen on."""
    return change_chosen(request, change=partial(ignore_entries, user=get_member(request)), done="ignored")


@require_POST
@login_required
@permission_required("classifier.change_labeltask", raise_exception=True)
def error_picture(request: HttpRequest) -> HttpResponse:
    """Let the chosen suspected pictures be labelled as any other, and answer with the page they were chosen on."""
    done = "no placeholder, and labelled as any other"
    return change_chosen(request, change=partial(keep_entries, user=get_member(request)), done=done)


# A picture, and what a form has beside it.
MEND_BYTES = MAX_FILE_BYTES + 16_384


@takes_body(MEND_BYTES, expected=f"Expected a picture of at most {MAX_FILE_BYTES:,} bytes.")
@require_POST
@login_required
@permission_required(MENDING, raise_exception=True)
def image_mend(request: HttpRequest, image_id: int) -> HttpResponse:
    """Give an image the address or the picture of the form, try it again, and answer with the page it was mended on."""
    image = get_object_or_404(Image, pk=image_id)
    url = request.POST.get("url") or image.url
    picture = request.FILES.get("picture")
    try:
        # What nobody changed may be older than the rules.
        address = store_upload(picture.name or "", picture.read()) if picture else url
        address = address if address == image.url else clean_image_url(address)
    except (RecordError, PictureError, StorageError) as error:
        context = {
            "refusal": describe_refusal(error),
            "mend": {"image_id": image.pk, "url": url, "key": image.pk, "sent": request.POST},
            "image": image,
            "back": keep_list_query(request.GET),
        }
        status = 503 if isinstance(error, StorageError) else 400
        return render(request, "classifier/image_mend.html", context, status=status)
    replacement, number, retried = mend_image(image, url=address)
    said = ["The picture is tried again."] if retried else []
    if replacement.pk != image.pk:
        products = "1 product" if number == 1 else f"{number:,} products"
        said.insert(0, f"The address is replaced in {products}.")
        LogEntry.objects.create(
            user=get_member(request),
            content_type=ContentType.objects.get_for_model(Image),
            object_id=str(image.pk),
            object_repr=Truncator(image.url).chars(200),
            action_flag=CHANGE,
            change_message=f"Replaced by image {replacement.pk} in {products}.",
        )
    messages.success(request, " ".join(said) or "This picture has not failed, or is being tried already.")
    product = parse_id(request.POST.get("product", ""))
    if product is not None:
        return redirect(f"{reverse('product-detail', args=[product])}{keep_list_query(request.GET)}")
    return redirect_to_errors(request)


def describe_refusal(error: Exception) -> str:
    """Return why an address or a picture cannot stand in for the one that failed."""
    if isinstance(error, RecordError):
        return error.sentence
    if isinstance(error, PictureError):
        return f"{get_error_words(error.code)}: {error.message}."
    return "The storage of pictures does not answer at the moment, so nothing was changed. Please try again."


def change_chosen(request: HttpRequest, *, change: Callable[[Collection[int]], int], done: str) -> HttpResponse:
    """Apply the change to the pictures that the form names: the one whose button was pressed, or those with a mark."""
    chosen = request.POST.getlist("only") or request.POST.getlist("task")
    numbers = ((text, parse_id(text.removeprefix("-"))) for text in dict.fromkeys(chosen[:MAXIMUM_CHOSEN]))
    task_ids = [-pk if text.startswith("-") else pk for text, pk in numbers if pk is not None]
    if task_ids:
        changed = change(task_ids)
        pictures = "1 picture is" if changed == 1 else f"{changed} pictures are"
        others = "" if changed == len(task_ids) else f" The other {len(task_ids) - changed} had changed meanwhile."
        messages.success(request, f"{pictures} {done}.{others}")
    else:
        messages.error(request, "Nothing was chosen: mark the pictures first, or press the button beside one.")
    return redirect_to_errors(request)


def redirect_to_errors(request: HttpRequest) -> HttpResponse:
    """Answer with the page of the error queue that a form was sent from."""
    query = QueryDict(request.POST.get("query", "")).urlencode()
    return redirect(f"{reverse('error-list')}?{query}" if query else reverse("error-list"))


def describe_error(task: LabelTask) -> dict[str, Any]:
    """Return what the page says of a failed picture; the address is a text, and never leads to a retailer."""
    is_due: bool = vars(task)["is_due"]
    picture = getattr(task.image, "stored_picture", None)
    return {
        "task": task,
        "words": get_error_words(task.error_code),
        "state": TRIED_NOW if is_due else STATE_WORDS[LabelTask.State(task.state)],
        "address": remove_bidi_controls(task.image.url),
        "sha256": picture.sha256 if picture else None,
        "run": f"run {task.run_id}",
        "tries": describe_tries(task),
        "mend": {"image_id": task.image_id, "url": task.image.url, "key": task.pk},
        "next_try_at": task.next_try_at if task.state == LabelTask.State.RETRY and not is_due else None,
        "can_ignore": task.state != LabelTask.State.IGNORED,
    }


def describe_suspect(suspect: SuspectedPicture) -> dict[str, Any]:
    """Return what the page says of a suspected picture."""
    return {
        "suspect": suspect,
        "entry": -suspect.pk,
        "code": PLACEHOLDER,
        "words": QUEUE_WORDS[PLACEHOLDER],
        "state": STATE_WORDS[SUSPECTED],
        "address": remove_bidi_controls(vars(suspect)["image_url"] or ""),
        "sha256": suspect.sha256,
        "shown": f"The first picture of {suspect.products:,} products, and no word is in half of their titles. "
        "It gives them no label until somebody says what it is.",
    }


def describe_tries(task: LabelTask) -> str:
    """Return how often a picture was tried, and how many workers it was in the hand of when they died."""
    if not task.attempts and not task.crashes:
        return "Not tried since"
    tries = "1 attempt" if task.attempts == 1 else f"{task.attempts} attempts"
    if not task.crashes:
        return tries
    return f"{tries}, 1 crash" if task.crashes == 1 else f"{tries}, {task.crashes} crashes"
