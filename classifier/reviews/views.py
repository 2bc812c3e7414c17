"""The form on a product's page that gives an image a person's label."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from catalog.browse.filters import keep_list_query
from catalog.models import ProductImages
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.reviews.recording import submit_reviews
from classifier.reviews.serializers import ReviewSerializer
from config.web.permissions import get_member

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
        context = {"status": 400, "title": "The label was not recorded", "detail": detail}
        return render(request, "error.html", context, status=400)
    (result,) = submit_reviews([form.get_submission()], reviewer=get_member(request))
    if result.review is None:
        messages.error(request, f"Your label was not recorded. {result.detail}")
    back = keep_list_query(request.GET)
    return redirect(f"{reverse('product-detail', args=[product_id])}{back}#image-{placement.image_index}")
