"""Parameters of addresses: those of every list, and the refusal of what no view knows."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

DEFAULT_PAGE_SIZE = 50
MAXIMUM_PAGE_SIZE = 100
#: More make a query that is long to plan and slow to run.
MAXIMUM_SEARCH_WORDS = 8


def parse_id(text: str) -> int | None:
    """Return the id that a text of a form or an address is; None for what can be none.

    Longer numbers fit in no column, and of thousands of digits Python makes none.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


class AnyOfField(serializers.MultipleChoiceField):
    """A choice that may be made more than once: a row has any of the values. A tuple, without empty ones."""

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]  # of a set
        """Return the values, each once; an empty one is the same as none."""
        given: Any = [value for value in data if value != ""]
        return tuple(sorted(super().to_internal_value(given)))


class IdField(serializers.IntegerField):
    """The id of a row; larger numbers are one in no table."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": 2**63 - 1} | options)


class NoQuery(serializers.Serializer[dict[str, Any]]):
    """No parameters at all."""


class PageQuery(serializers.Serializer[dict[str, Any]]):
    """Which page of a list."""

    page_size = serializers.IntegerField(
        min_value=1, max_value=MAXIMUM_PAGE_SIZE, required=False, help_text=f"Default {DEFAULT_PAGE_SIZE}."
    )
    cursor = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, help_text="As the links next and previous have it."
    )

    def get_page_size(self, *, default: int = DEFAULT_PAGE_SIZE) -> int:
        """Return the page size of a valid query."""
        return self.validated_data.get("page_size", default)

    def get_filters(self) -> dict[str, Any]:
        """Return what a valid query asks for besides the page, by the source of each field."""
        return {name: value for name, value in self.validated_data.items() if name not in _get_fields(PageQuery)}

    def get_cursor(self) -> str:
        """Return the cursor of a valid query, empty for the first page."""
        return self.validated_data.get("cursor", "")


def pick_parameters(
    query_class: type[serializers.Serializer[dict[str, Any]]], parameters: QueryDict
) -> tuple[QueryDict, dict[str, Any]]:
    """Return those of a page's parameters that the query knows and that have a value, and the filters among them.

    A page is reached by links that others made; what they added to the address is no reason to refuse it. What a form
    leaves empty is not asked for. The value of a filter is a text, of an `AnyOfField` a list of them.
    """
    known = _get_fields(query_class)
    picked = QueryDict(mutable=True)
    for name, values in parameters.lists():
        if name in known and any(values):
            picked.setlist(name, [value for value in values if value])
    pages = _get_fields(PageQuery)
    filters = {name: values if isinstance(known[name], AnyOfField) else values[-1] for name, values in picked.lists()}
    return picked, {name: value for name, value in filters.items() if name not in pages}


@cache
def _get_fields(query_class: type[serializers.Serializer[dict[str, Any]]]) -> Mapping[str, serializers.Field]:
    """Return the query's fields, to look at: a query copies its own, for a page of links half of what it takes."""
    return dict(query_class().fields)


Query = TypeVar("Query", bound=serializers.Serializer[dict[str, Any]])


def check_parameters(query_class: type[Query], parameters: QueryDict) -> Query:
    """Return the query made of these parameters, valid.

    Raises `ValidationError` for a parameter that is unknown, or there more often than it may be, or whose value is not
    accepted.
    """
    known = _get_fields(query_class)
    unknown = f"Unknown parameter; expected one of {', '.join(known)}." if known else "Expected no parameters."
    refused = {}
    for name, values in parameters.lists():
        if name not in known:
            refused[name] = [unknown]
        elif len(values) > 1 and not isinstance(known[name], AnyOfField):
            refused[name] = [f"Expected one value; received {len(values)}."]
    if refused:
        raise serializers.ValidationError(refused)
    query = query_class(data=parameters)
    query.is_valid(raise_exception=True)
    return query


class CheckedView(APIView):
    """A view of the API that refuses parameters which it does not know, whatever the method.

    What is ignored would be taken for honoured: a filter with a typing error, a token in the address.
    """

    query_class: type[serializers.Serializer[dict[str, Any]]] = NoQuery

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let a caller in as every view does, then read the parameters into `self.query`, valid."""
        super().initial(request, *args, **kwargs)
        if request.method in self.allowed_methods:
            self.query: Any = check_parameters(self.query_class, request.query_params)
