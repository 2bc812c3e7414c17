"""Products over HTTP; anyone may read them."""

from dataclasses import replace
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny

from catalog.browse.filters import ProductListPastQuery
from catalog.browse.listing import get_product_ordering, list_labelled_products
from catalog.browse.serializers import ProductSerializer
from catalog.labels import find_labels_as_of
from catalog.models import Product
from catalog.search.query import TextSearch
from config.db.replica import find_reading_database
from config.web.model_views import PagedListView
from config.web.responses import problems


@extend_schema(parameters=[ProductListPastQuery], responses={200: ProductSerializer(many=True), **problems(400, 404)})
class ProductListView(PagedListView):
    """Products with their first picture, their description in one country and their current label.

    With `as_of` the label is the one that each of these products, which are those of today, had at that time. That
    goes with a country, an order by id and pages, and not with a filter, which would be of the present label.

    Follow `next` and `previous` for the pages beside this one. A list never says how many products there are. A
    parameter that is not listed here is refused.
    """

    permission_classes = [AllowAny]
    query_class = ProductListPastQuery
    serializer_class = ProductSerializer

    def get_queryset(self) -> QuerySet[Product]:
        """Return the products that the query asks for."""
        criteria = self.query.get_criteria()
        self.ordering = get_product_ordering(criteria)
        self.search = TextSearch(criteria.search)
        products = list_labelled_products(replace(criteria, search=""))
        return products.using(find_reading_database(self.request))

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the JSON of a page's products, with the labels of the time that the query names."""
        at = self.query.get_time()
        if args and at is not None:
            labels = find_labels_as_of([product.pk for product in args[0]], at)
            kwargs["context"] = {**self.get_serializer_context(), "labels": labels}
        return super().get_serializer(*args, **kwargs)
