"""The envelope of the API's lists."""

from typing import Any

from rest_framework.exceptions import NotFound
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from config.db.paging import InvalidCursorError, KeysetOrdering, Page, get_page


class KeysetPagination(BasePagination):
    """Pages of a view that has `ordering`, `page_size` and `cursor` for the request at hand; one query each.

    A view may have a `search` as well, which finds the rows of the page.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page; a cursor that is not ours is not found."""
        ordering: KeysetOrdering = view.ordering
        try:
            self.page: Page = get_page(
                queryset,
                ordering=ordering,
                page_size=view.page_size,
                cursor=view.cursor,
                search=getattr(view, "search", None),
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
