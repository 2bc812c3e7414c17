"""What the pages of runs and versions share: their lists."""

from typing import Any

from django.http import Http404, HttpRequest

from config.db.paging import NEWEST_FIRST, InvalidCursorError, get_page

ROWS_PER_PAGE = 50


def find_page(request: HttpRequest, queryset: Any) -> Any:
    """Return the page that the address names; not found for a cursor that is not ours."""
    try:
        cursor = request.GET.get("cursor", "")
        return get_page(queryset, ordering=NEWEST_FIRST, page_size=ROWS_PER_PAGE, cursor=cursor)
    except InvalidCursorError as error:
        raise Http404 from error
