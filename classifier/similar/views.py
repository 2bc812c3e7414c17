"""The page of products that look like a product."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from catalog.labels import get_label_summary
from catalog.models import Product
from classifier.features.neighbours import find_similar_products
from classifier.ml.words import percent

SIMILAR_SHOWN = 8


@require_safe
def similar_products(request: HttpRequest, product_id: int) -> HttpResponse:
    """Answer with the products whose pictures are nearest; with `?fragment` the list alone, for the product's page."""
    try:
        similar = find_similar_products(product_id, limit=SIMILAR_SHOWN)
    except Product.DoesNotExist as error:
        raise Http404 from error
    rows = [(row.product, get_label_summary(row.product), f"{percent(row.similarity)} alike") for row in similar]
    context = {"similar": rows}
    if "fragment" in request.GET:
        return render(request, "classifier/similar_list.html", context)
    product = get_object_or_404(Product, pk=product_id)
    return render(request, "classifier/similar_products.html", {**context, "product": product})
