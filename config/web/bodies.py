"""How large the body of a request may be: small, unless the view says otherwise, and before anything reads it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config.web.problems import answer_problem
from config.web.security import GetResponse

CHUNK_BYTES = 65_536
View = TypeVar("View", bound=Callable[..., Any])


def takes_body(maximum: int, *, expected: str, is_typed: bool = False) -> Callable[[View], View]:
    """Let a view, or a class of views, have bodies of up to `maximum` bytes; `expected` is said of larger ones.

    `is_typed` says that all of it may be the fields of a form, of which Django itself takes
    DATA_UPLOAD_MAX_MEMORY_SIZE, whatever the view.
    """

    def mark(view: View) -> View:
        view.body_limit = (maximum, expected, is_typed)  # type: ignore[attr-defined]
        return view

    return mark


class BodyLimitMiddleware:
    """Refuses larger bodies unread, and those whose length nobody knows.

    Django's protection against forged requests reads a form with all its files, and writes them to the disk, before it
    refuses it; so this comes before. Of a body that is taken nothing is left unread, whatever the answer: Gunicorn
    would break the connection off, and a proxy that still sends would have a 502 for its caller.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the view's response, once the rest of the body is read."""
        response = self.get_response(request)
        if getattr(request, "is_body_taken", False):
            with suppress(OSError):  # it was broken off
                while request.read(CHUNK_BYTES):
                    pass
        return response

    def process_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> HttpResponse | None:
        """Return the refusal of a body that the view does not take, None for any other."""
        usual = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        usually = usual, f"Expected a body of at most {usual:,} bytes.", False
        maximum, expected, is_typed = getattr(getattr(view, "view_class", view), "body_limit", usually)
        if "Transfer-Encoding" in request.headers:  # then Django takes it for empty
            return answer_problem(request, 411, "Expected a body with its length in the header Content-Length.")
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isascii() and length.isdigit() and int(length) > maximum:
            return answer_problem(request, 413, expected)
        if is_typed and request.content_type == "application/x-www-form-urlencoded":
            request._body = request.read()
        request.is_body_taken = True  # type: ignore[attr-defined]
        return None
