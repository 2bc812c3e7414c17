"""One line for every request, with a name by which all lines of a request are found."""

import logging
import re
import time
import uuid
from functools import partial
from ipaddress import ip_address
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.encoding import escape_uri_path
from rest_framework.throttling import BaseThrottle

from config.logs import log_fields
from config.web.security import GetResponse

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AccessLogMiddleware:
    """Writes the line: never a query, a body or a header, in which there may be secrets.

    The name is that of the header X-Request-ID, which the answer has too, or a new one. What was refused or failed is a
    warning; a `refusal` that somebody left on the request says why. Nobody is told that those who ask all the time
    whether the site is well were told that it is.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response, which has no body if only its head was asked for, as HTTP wants."""
        started_at = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        token = log_fields.set({"request": request_id, "user": partial(find_user_name, request)})
        try:
            response = self.get_response(request)
            response.headers["X-Request-ID"] = request_id
            if request.method == "HEAD":
                remove_body(response)
            refusal = getattr(request, "refusal", "")
            level = logging.WARNING if refusal or response.status_code >= 400 else logging.INFO
            if request.path.startswith("/healthz/") and level == logging.INFO:
                level = logging.DEBUG
            fields = {
                "status": response.status_code,
                "ms": round(1000 * (time.perf_counter() - started_at)),
                "address": find_address(request),
            }
            line = f"{request.method} {escape_uri_path(request.path)}" + (f": {refusal}" if refusal else "")
            logger.log(level, "%s", line, extra={"fields": fields})
            return response
        finally:
            log_fields.reset(token)


def find_user_name(request: HttpRequest) -> str | None:
    """Return who is signed in, as far as somebody asked: a line of the log reads nothing from the database."""
    found: Any
    for found in (vars(request).get("user"), getattr(request, "_cached_user", None)):
        if issubclass(type(found), AbstractBaseUser):  # isinstance would ask
            return str(found.get_username())
    return None


def find_address(request: HttpRequest) -> str | None:
    """Return the address of who asks, as NUM_PROXIES says; None for one that is none, such as that of a Unix socket."""
    try:
        return str(ip_address(BaseThrottle().get_ident(request) or ""))  # type: ignore[arg-type]  # it reads META alone
    except ValueError:
        return None


def remove_body(response: HttpResponse | StreamingHttpResponse) -> None:
    """Leave the head of the response as it is, and nothing else; its files are closed with it as ever."""
    if isinstance(response, StreamingHttpResponse):
        response.streaming_content = ()
    else:
        response.headers.setdefault("Content-Length", str(len(response.content)))
        response.content = b""
