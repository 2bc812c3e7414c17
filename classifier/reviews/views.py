"""The review page with its queues, and the form on a product's page that gives an image a person's label."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rest_framework.exceptions import ValidationError

from catalog.browse.filters import ProductListQuery, keep_list_query
from catalog.models import ProductImages
from classifier.audit.agreement import find_own_controls
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.models import ReviewBatch, ReviewRun
from classifier.reviews.batches import find_open_batch, start_batch
from classifier.reviews.queues import QUEUES, find_queue
from classifier.reviews.recording import submit_reviews
from classifier.reviews.review_page import ACTS, GARMENTS, HELP, LABELS, list_tile_views, read_form
from classifier.reviews.runs import cancel_review_run, list_given
from classifier.reviews.serializers import ReviewSerializer
from classifier.reviews.services import ReviewError, may_withdraw
from classifier.reviews.starting import withdraw_review_run
from classifier.runs.pages import cancel_run, describe_run
from config.web.permissions import get_member
from config.web.queries import IdField, check_parameters, pick_parameters

#: Of the runs that a reviewer started the newest are listed.
SHOWN_RUNS = 5
LABEL_FIELDS = ("verdict", "group", "garment", "seen_review", "appearance")


@require_POST
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def product_image_review(request: HttpRequest, product_id: int, image_id: int) -> HttpResponse:
    """Record the user's label for an image, a group, a garment or a verdict, and answer with the product's page.

    The page says so where somebody labelled the image since it was shown, and shows that label.
    """
    placements = ProductImages.objects.filter(product=product_id, image=image_id).select_related("image")
    # The same image may stand at several places of one product.
    placement = placements.order_by("image_index").first()
    if placement is None:
        raise Http404
    given = {name: value for name in LABEL_FIELDS if (value := request.POST.get(name))}
    if "garment" in given:
        given.setdefault("group", GROUP_OF_GARMENT.get(given["garment"], ""))
    form = ReviewSerializer(data={"image": placement.image_id, **given})
    if not form.is_valid():
        detail = " ".join(str(message) for messages_of in form.errors.values() for message in messages_of)
        return _refuse(request, detail)
    (result,) = submit_reviews([form.get_submission()], reviewer=get_member(request))
    if result.review is None:
        messages.error(request, f"Your label was not recorded. {result.detail}")
    back = keep_list_query(request.GET)
    return redirect(f"{reverse('product-detail', args=[product_id])}{back}#image-{placement.image_index}")


@require_safe
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def review_run_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer with one run of reviews: how far it is, and buttons that cancel it or withdraw all its labels as one."""
    run = get_object_or_404(ReviewRun.objects.select_related("requested_by"), pk=pk)
    seen, standing = run.done + run.skipped, list_given(run).count()
    is_left = not run.is_withdrawing and (standing > 0 or run.withdrawn_at is None)
    may_end = may_withdraw(run, user=get_member(request))
    context = {
        **describe_run(request, run, route="review-run", is_due=run.is_withdrawing, may_cancel=may_end),
        "live": run.is_open or run.is_withdrawing,
        "share": seen / run.total if run.total else 1.0,
        "seen": seen,
        "standing": standing,
        "withdrawal": describe_withdrawal(run) if is_left and may_end else "",
    }
    return render(request, "classifier/review_run_detail.html", context)


def describe_withdrawal(run: ReviewRun) -> str:
    """Return what the button says that withdraws the labels of a run."""
    return "Cancel the run and withdraw its labels" if run.is_open else "Withdraw all its labels"


@require_POST
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def review_run_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel a run that has not ended, and answer with its page; the labels that it gave stay."""
    return cancel_run(request, find_own_run(request, pk), cancel=cancel_review_run, route="review-run")


@require_POST
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def review_run_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Withdraw all labels of a run as one, and answer with its page."""
    withdraw_review_run(find_own_run(request, pk))
    return redirect("review-run-detail", pk)


def find_own_run(request: HttpRequest, pk: int) -> ReviewRun:
    """Return a run that the user may end. Raises `PermissionDenied` for somebody else's."""
    run = get_object_or_404(ReviewRun, pk=pk)
    if not may_withdraw(run, user=get_member(request)):
        raise PermissionDenied
    return run


class ReviewPageQuery(ProductListQuery):
    """Which page of a queue: the one after a batch, or with its form the batch that it is about."""

    after = IdField(required=False)
    batch = IdField(required=False)


@require_safe
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def review_queue_list(request: HttpRequest) -> HttpResponse:
    """Answer with the queues: what each is for and how many wait, and the reviewer's own controls and runs."""
    queues = [(queue, queue.count()) for queue in QUEUES.values()]
    member = get_member(request)
    context = {
        "queues": queues,
        "own": find_own_controls(member.pk),
        "runs": [(run, describe_review_run(run)) for run in ReviewRun.objects.filter(requested_by=member)[:SHOWN_RUNS]],
    }
    return render(request, "classifier/review_queues.html", context)


def describe_review_run(run: ReviewRun) -> str:
    """Return which label a run gives, and to how many pictures."""
    return f"{run.words}, {run.total:,} picture{'' if run.total == 1 else 's'}"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def review_queue(request: HttpRequest, name: str) -> HttpResponse:
    """Answer with the reviewer's page of a queue, with `?after` with the next one's tiles; record what its form says.

    A page is lent to its reviewer: nobody else has the same pictures.
    """
    parameters, given = pick_parameters(ReviewPageQuery, request.GET)
    filters = {field: value for field, value in given.items() if field not in ("after", "batch")}
    try:
        query = check_parameters(ReviewPageQuery, parameters).validated_data
        queue = find_queue(name, filters)
    except ValidationError as error:
        raise BadRequest(str(error)) from error
    except KeyError as error:
        raise Http404 from error
    reviewer, after = get_member(request), query.get("after", 0)
    if request.method == "POST":
        return _record_form(request, get_object_or_404(ReviewBatch, pk=query.get("batch"), reviewer=reviewer))
    batch = find_open_batch(reviewer, queue, after=after) or start_batch(reviewer, queue)
    context: dict[str, Any] = {
        "batch": batch,
        "tiles": list_tile_views(batch) if batch else [],
        "labels": LABELS,
        "query": urlencode(filters | ({"batch": batch.pk} if batch else {}), doseq=True),
    }
    if after:
        return render(request, "classifier/review_tiles.html", context)
    context |= {"queue": queue, "garments": GARMENTS, "acts": ACTS, "help": HELP}
    return render(request, "classifier/review.html", context)


def _record_form(request: HttpRequest, batch: ReviewBatch) -> HttpResponse:
    """Record what the form of a page says, and answer with what is left of it, or with the next page."""
    try:
        submissions = read_form(batch, request.POST)
    except ReviewError as error:
        return _refuse(request, str(error))
    for result in submit_reviews(submissions, reviewer=batch.reviewer):
        if result.detail:
            messages.error(request, result.detail)
    return redirect(f"{request.path}{keep_list_query(request.GET)}")


def _refuse(request: HttpRequest, detail: str) -> HttpResponse:
    context = {"status": 400, "title": "The label was not recorded", "detail": detail}
    return render(request, "error.html", context, status=400)
