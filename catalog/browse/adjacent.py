"""The products before and behind one in the list that its page was reached from, whose filters are in the address."""

from typing import NamedTuple

from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from catalog.browse.filters import ProductListQuery, add_place, keep_list_query
from catalog.browse.listing import find_adjacent_products, get_place, get_product_ordering
from catalog.models import Product
from config.db.paging import InvalidCursorError
from config.web.queries import check_parameters, pick_parameters


class AdjacentProduct(NamedTuple):
    """A product beside another one; `query` is the list's, as the address of its page has it."""

    product: Product
    query: str


def find_adjacent(parameters: QueryDict, product_id: int) -> tuple[AdjacentProduct | None, AdjacentProduct | None]:
    """Return the products before and behind one, at the cost of `find_adjacent_products`.

    None where there is none, and both where the address has no list, or one that is refused.
    """
    try:
        query = check_parameters(ProductListQuery, pick_parameters(ProductListQuery, parameters)[0])
        criteria = query.get_criteria(ordering="-id")
        found = find_adjacent_products(criteria, product_id, place=parameters.get("place", ""))
    except (ValidationError, InvalidCursorError):
        return None, None
    ordering, list_query = get_product_ordering(criteria), keep_list_query(parameters, placed=False)
    before, behind = (
        AdjacentProduct(product, add_place(list_query, get_place(ordering, product))) if product else None
        for product in found
    )
    return before, behind
