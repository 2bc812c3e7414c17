"""Passwords and tokens that somebody tries out: how often, and how many at once.

Five wrong passwords for one name from one address lock that pair, by django-axes and in the database. What is here
bounds what guesses cost: a password takes half a second of a processor, which many names from many addresses add up to.
"""

from threading import BoundedSemaphore
from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from config.caches import count_up
from config.web.access_log import find_address
from config.web.problems import MINUTE, answer_problem
from config.web.security import GetResponse

PASSWORD_PAGES = ("sign-in", "password", "admin:login", "admin:password_change")


class GuessLimitMiddleware:
    """Counts the passwords that an address sends, right or wrong, and its wrong tokens, each minute."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # The other threads of the process go on serving those who read.
        self.checks = BoundedSemaphore(settings.PASSWORD_CHECKS_AT_ONCE)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response, or a 429 before anything is looked up or computed."""
        if request.method == "POST" and request.path in map(reverse, PASSWORD_PAGES):
            return self._check_password(request)
        if "Authorization" in request.headers:
            return self._check_token(request)
        return self.get_response(request)

    def _check_password(self, request: HttpRequest) -> HttpResponse:
        if count_up(f"passwords-{find_address(request)}", seconds=MINUTE) > settings.PASSWORDS_PER_MINUTE:
            return _refuse(request, "Too many passwords came from this address; please try again in a minute.", MINUTE)
        if not self.checks.acquire(blocking=False):
            return _refuse(request, "Too many people are signing in at the moment; please try again.", 1)
        try:
            return self.get_response(request)
        finally:
            self.checks.release()

    def _check_token(self, request: HttpRequest) -> HttpResponse:
        key = f"wrong-tokens-{find_address(request)}"
        if (cache.get(key) or 0) >= settings.WRONG_TOKENS_PER_MINUTE:
            return _refuse(request, "Too many wrong tokens came from this address; try again in a minute.", MINUTE)
        response = self.get_response(request)
        if response.status_code == 401:
            count_up(key, seconds=MINUTE)
        return response


def answer_locked_out(request: HttpRequest, *_credentials: Any) -> HttpResponse:
    """Answer a sign-in with a name that is locked for this address, whatever its password."""
    seconds = round(settings.AXES_COOLOFF_TIME.total_seconds())
    text = f"Too many wrong passwords for this name; please try again in {seconds // MINUTE} minutes."
    return answer_problem(request, 429, text, retry_after=seconds)


@receiver(user_login_failed)
def note_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Have the request's line in the log say whose name was tried."""
    if request is not None:
        request.refusal = f"sign-in as {credentials.get('username')!r} failed"  # type: ignore[attr-defined]


def _refuse(request: HttpRequest, text: str, seconds: int) -> HttpResponse:
    return answer_problem(request, 429, text, retry_after=seconds)
