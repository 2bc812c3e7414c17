"""The form on a product's page that gives an image a person's label."""

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from catalog.browse.filters import keep_list_query
from catalog.models import ProductImages
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.reviews.services import ReviewError, record_review
from config.web.permissions import get_member


@require_POST
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def product_image_review(request: HttpRequest, product_id: int, image_id: int) -> HttpResponse:
    """Record the user's label for an image, a group or a garment, and answer with the product's page."""
    placements = ProductImages.objects.filter(product=product_id, image=image_id).select_related("image")
    # The same image may stand at several places of one product.
    placement = placements.order_by("image_index").first()
    if placement is None:
        raise Http404
    garment = request.POST.get("garment", "")
    group = request.POST.get("group", "") or GROUP_OF_GARMENT.get(garment, "")
    try:
        record_review(placement.image, group=group, garment=garment, reviewer=get_member(request))
    except ReviewError as error:
        context = {"status": 400, "title": "The label was not recorded", "detail": str(error)}
        return render(request, "error.html", context, status=400)
    back = keep_list_query(request.GET)
    return redirect(f"{reverse('product-detail', args=[product_id])}{back}#image-{placement.image_index}")
