"""Passwords and tokens that somebody tries out."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from config.web.guesses import PASSWORD_PAGES, GuessLimitMiddleware
from tests.support.members import build_token_header, create_member

pytestmark = pytest.mark.django_db
LOGIN = "/sign-in/"
REVIEWS = "/api/v1/errors/"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed."""
    passwords: list[str] = []
    encode = MD5PasswordHasher.encode

    def note(self: MD5PasswordHasher, password: str, salt: str) -> str:
        passwords.append(password)
        return encode(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", note)
    return passwords


@pytest.fixture(autouse=True)
def ann() -> User:
    return User.objects.create_user("ann", password="right", is_staff=True)


def try_password(password: str, *, name: str = "ann", address: str = "192.0.2.1", page: str = LOGIN) -> HttpResponse:
    return Client(REMOTE_ADDR=address).post(page, {"username": name, "password": password})


@pytest.mark.parametrize("page", [LOGIN, "/admin/login/"])
def test_a_name_is_locked_for_an_address_after_five_wrong_passwords_whatever_comes_then(
    hashed: list[str], page: str
) -> None:
    answers = [try_password(f"wrong {number}", page=page) for number in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    hashed.clear()
    answer = try_password("right")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "900")
    assert "Too many wrong passwords for this name; please try again in 15 minutes." in answer.text
    assert hashed == []
    assert try_password("right", address="192.0.2.2").status_code == 302
    User.objects.create_user("bob", password="right", is_staff=True)
    assert try_password("right", name="bob").status_code == 302


def test_a_lock_ends_by_itself_and_a_right_password_forgives(client: Client) -> None:
    for number in range(5):
        try_password(f"wrong {number}")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=16))
    assert try_password("right").status_code == 302
    assert not AccessAttempt.objects.exists()


def test_an_operator_lists_what_was_tried_and_ends_a_lock(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        try_password(f"wrong {number}")
    assert try_password("right").status_code == 429
    call_command("axes_list_attempts")
    assert capsys.readouterr().out == "192.0.2.1\tann\t5\n"
    call_command("axes_reset_username", "ann")
    assert capsys.readouterr().out == "1 attempts removed.\n"
    assert try_password("right").status_code == 302


def test_no_password_and_no_address_of_nobody_stands_in_the_database() -> None:
    try_password("s3cret-guess", address="")  # as behind a Unix socket
    (attempt,) = AccessAttempt.objects.values()
    assert (attempt["username"], attempt["ip_address"]) == ("ann", None)
    assert "s3cret" not in str(attempt)


def test_many_names_from_one_address_are_few_hashes(settings, hashed: list[str]) -> None:
    settings.PASSWORDS_PER_MINUTE = 10
    answers = [try_password("wrong", name=f"name {number}") for number in range(40)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429] * 30
    assert answers[-1].headers["Retry-After"] == "60"
    assert len(hashed) == 10
    assert try_password("right", address="192.0.2.2").status_code == 302


@pytest.mark.parametrize("page", ["/password/", "/admin/password_change/"])
def test_the_old_password_of_somebody_signed_in_is_guessed_as_rarely(
    settings, client: Client, ann: User, page: str
) -> None:
    settings.PASSWORDS_PER_MINUTE = 3
    client.force_login(ann)
    form = {"old_password": "wrong", "new_password1": "a-New-one-1", "new_password2": "a-New-one-1"}
    statuses = [client.post(page, form).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


def test_the_front_limits_the_same_pages() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "nginx.conf").read_text()
    (pattern,) = re.findall(r"location ~ (\S+) \{[^}]*zone=passwords", text)
    assert all(re.match(pattern, reverse(page)) for page in PASSWORD_PAGES)
    assert not re.match(pattern, reverse("product-list"))


def test_passwords_at_once_leave_threads_to_others(settings) -> None:
    settings.PASSWORD_CHECKS_AT_ONCE = 2
    entered, leave = threading.Semaphore(0), threading.Event()

    def check(request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            entered.release()
            assert leave.wait(30)
        return HttpResponse()

    middleware = GuessLimitMiddleware(check)
    threads = [threading.Thread(target=middleware, args=(RequestFactory().post(LOGIN),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert all(entered.acquire(timeout=30) for _ in threads)
    answer = middleware(RequestFactory().post(LOGIN))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert middleware(RequestFactory().get("/products/")).status_code == 200
    leave.set()
    for thread in threads:
        thread.join()
    assert middleware(RequestFactory().post(LOGIN)).status_code == 200


def test_wrong_tokens_are_few_a_minute_and_right_ones_uncounted(
    settings, django_assert_num_queries: Callable[[int], object]
) -> None:
    settings.WRONG_TOKENS_PER_MINUTE = 3
    right = build_token_header(create_member("view_labeltask"))
    wrong = {"Authorization": "Token 0123456789"}
    assert [Client().get(REVIEWS, headers=right).status_code for _ in range(5)] == [200] * 5
    answers = [Client().get(REVIEWS, headers=wrong) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
    assert (answers[-1].headers["Retry-After"], answers[-1].json()["status"]) == ("60", 429)
    with django_assert_num_queries(0):
        assert Client().get(REVIEWS, headers=right).status_code == 429
    assert Client(REMOTE_ADDR="192.0.2.9").get(REVIEWS, headers=right).status_code == 200
    assert Client().get("/api/v1/products/").status_code == 200
