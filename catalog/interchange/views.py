"""Exports over HTTP: streamed, for those who may see labels, a few at a time."""

import threading
from collections.abc import Generator, Iterator
from typing import Final

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_safe
from rest_framework.exceptions import ValidationError

from catalog.interchange.exporting import MEDIA_TYPES, ProductExportQuery, describe_refusals, encode_export
from catalog.interchange.writing import ExportReport
from config.db.statements import allow_long_statements
from config.web.problems import ServiceUnavailableError, answer_problem
from config.web.queries import check_parameters
from config.web.security import FILE_POLICY

#: What a process sends at once. An export holds one of its threads for minutes, and pages need some as well.
EXPORTS_AT_ONCE: Final = 2
RETRY_AFTER_SECONDS: Final = 60
BUSY: Final = "Other exports are being sent at the moment; please try again in a minute."

#: Products whose pictures fit an archive over HTTP, which grows a process of the site by 84 MB (see `encode_zip`).
MAXIMUM_ARCHIVED: Final = 100_000
TOO_MANY_PICTURES: Final = (
    f"Expected at most {MAXIMUM_ARCHIVED:,} products for an archive of pictures. Choose fewer with the filters, or run "
    "manage.py export_catalog --format pictures, which has no limit."
)

_slots: Final = threading.BoundedSemaphore(EXPORTS_AT_ONCE)


class BusyError(ServiceUnavailableError):
    """As many exports as this process sends at once are on their way."""

    default_detail = BUSY
    wait = RETRY_AFTER_SECONDS


class _HeldParts:
    """The parts of an export, with the slot it holds until the last is sent or the reader goes away."""

    def __init__(self, parts: Generator[bytes]) -> None:
        if not _slots.acquire(blocking=False):
            raise BusyError
        self._parts = parts
        self._is_held = True

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        """Give the slot back, once; called when the response ends, however it ends."""
        if self._is_held:
            self._is_held = False
            self._parts.close()
            _slots.release()


def build_export_response(parts: Generator[bytes], *, suffix: str, name: str = "products") -> StreamingHttpResponse:
    """Return the file as a download, made while it is sent. Raises `BusyError`."""
    headers = {
        "Content-Type": MEDIA_TYPES[suffix],
        "Content-Disposition": f'attachment; filename="{name}.{suffix}"',
        "Content-Security-Policy": FILE_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        # Proxies that buffer what they pass on would keep the reader waiting, and the whole file on their disk.
        "X-Accel-Buffering": "no",
    }
    return StreamingHttpResponse(_HeldParts(parts), headers=headers)


def build_query_response(query: ProductExportQuery, *, suffix: str) -> StreamingHttpResponse:
    """Return what a valid query asks for as a download. Raises `ValidationError` and `BusyError`."""
    if suffix == "zip":
        # Filters that few products meet may read the whole table.
        with allow_long_statements():
            products = query.find_products()[0][: MAXIMUM_ARCHIVED + 1].count()
        if products > MAXIMUM_ARCHIVED:
            raise ValidationError({"suffix": [TOO_MANY_PICTURES]})
    return build_export_response(encode_export(query, suffix=suffix, report=ExportReport()), suffix=suffix)


@require_safe
@login_required
@permission_required("catalog.view_productlabel", raise_exception=True)
def product_export(request: HttpRequest, suffix: str) -> HttpResponseBase:
    """Answer with the products that the filters in the address choose, as a file."""
    try:
        query = check_parameters(ProductExportQuery, request.GET)
        return build_query_response(query, suffix=suffix)
    except ValidationError as error:
        refused = "; ".join(f"{name}: {text}" for name, text in describe_refusals(error).items())
        return answer_problem(request, 400, f"These filters cannot be applied: {refused}")
    except BusyError:
        return answer_problem(request, 503, BUSY, retry_after=RETRY_AFTER_SECONDS)
