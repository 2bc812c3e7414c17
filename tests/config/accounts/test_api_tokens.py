"""`api_tokens`: operators list, make and revoke tokens."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from config.accounts.models import Token
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("api_tokens", *arguments, stdout=output)
    return output.getvalue()


def test_a_token_is_made_listed_and_revoked() -> None:
    user, other = create_member("view_labeltask"), create_member()
    made = run("--user", user.username, "--make", "import", "--days", "7")
    key = made.splitlines()[-1]
    header = {"Authorization": f"Token {key}"}
    assert Client().get("/api/v1/errors/", headers=header).status_code == 200
    (row,) = json.loads(run("--json"))
    assert key not in str(row)
    assert (row["user"], row["name"]) == (user.username, "import")
    assert row["last_used_on"] == row["created_at"][:10]
    assert json.loads(run("--user", other.username, "--json")) == []
    assert run("--revoke", str(row["id"])) == "1 tokens revoked\n"
    assert Client().get("/api/v1/errors/", headers=header).status_code == 401


def test_all_tokens_of_a_user_are_revoked() -> None:
    user, other = create_member(), create_member()
    for owner, name in ((user, "a"), (user, "b"), (other, "c")):
        assert json.loads(run("--user", owner.username, "--make", name, "--json"))["key"]
    assert "3 tokens" in run()
    assert run("--user", user.username, "--revoke-all") == "2 tokens revoked\n"
    assert [token.name for token in Token.objects.all()] == ["c"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--user", "nobody"], "there is no user 'nobody'"),
        (["--make", "a"], "need --user"),
        (["--revoke-all"], "need --user"),
        (["--user", "member-1", "--make", "a", "--days", "0"], "--days: .*greater than or equal to 1"),
        (["--user", "member-1", "--make", " "], "--make: This field is required"),
        (["--user", "member-1", "--make", "taken"], "Expected a new name"),
        (["--revoke", "7", "8"], "there is no token 7, 8; nothing was revoked"),
    ],
)
def test_what_is_refused_says_why(arguments: list[str], said: str) -> None:
    create_member()
    run("--user", "member-1", "--make", "taken")
    with pytest.raises(CommandError, match=said):
        run(*arguments)
    assert Token.objects.count() == 1
