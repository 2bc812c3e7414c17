"""What views of rows share: who may call those of the API and how often, and the pages of lists, the site's as well."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from config.db.paging import NEWEST_FIRST, InvalidCursorError, KeysetOrdering, Page, get_page
from config.web.permissions import ModelPermissions, WriteThrottle
from config.web.queries import CheckedView, PageQuery

ROWS_PER_PAGE = 50


def find_page(request: HttpRequest, queryset: Any) -> Any:
    """Return the page that the address names; not found for a cursor that is not ours."""
    try:
        cursor = request.GET.get("cursor", "")
        return get_page(queryset, ordering=NEWEST_FIRST, page_size=ROWS_PER_PAGE, cursor=cursor)
    except InvalidCursorError as error:
        raise Http404 from error


class KeysetPagination(BasePagination):
    """Pages of a `PagedListView`; one query each."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page; a cursor that is not ours is not found."""
        try:
            self.page: Page = get_page(
                queryset,
                ordering=view.ordering,
                page_size=view.query.get_page_size(),
                cursor=view.query.get_cursor(),
                search=view.search,
                beside=view.list_beside(),
            )
        except InvalidCursorError as error:
            raise NotFound(str(error)) from error
        self.address = request.build_absolute_uri()
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        """Return the rows between the addresses of the pages beside this one."""
        return Response(
            {
                "next": self._link(self.page.next_cursor),
                "previous": self._link(self.page.previous_cursor),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of the envelope."""
        link = {"type": "string", "format": "uri", "nullable": True}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def _link(self, cursor: str | None) -> str | None:
        return replace_query_param(self.address, "cursor", cursor) if cursor else None


class ModelView(CheckedView, GenericAPIView):
    """A view of a model's rows, for those who have Django's permissions of them."""

    permission_classes: Sequence[Any] = [ModelPermissions]
    throttle_classes = [WriteThrottle]
    throttle_scope = "writes"


class PagedListView(CheckedView, ListAPIView):
    """A list of rows, newest first unless it has another `ordering`; `search`, if any, finds the rows of a page.

    A subclass whose rows depend on the query says so in `filter_queryset`: `get_queryset` is asked before the query
    is read.
    """

    permission_classes: Sequence[Any] = [ModelPermissions]
    query_class: type[serializers.Serializer[dict[str, Any]]] = PageQuery
    pagination_class = KeysetPagination
    filter_backends: list[Any] = []
    ordering: KeysetOrdering = NEWEST_FIRST
    search: Any = None

    def list_beside(self) -> Sequence[QuerySet[Any]]:
        """Return rows of other tables that stand among those of the list."""
        return ()
