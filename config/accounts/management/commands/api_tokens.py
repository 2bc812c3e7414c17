"""List, make and revoke the tokens of programs."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from config.accounts.forms import TokenForm
from config.accounts.models import Token
from config.accounts.services import USUAL_DAYS, TokenNameError, create_token
from config.console import ReportingCommand, build_table


class Command(ReportingCommand):
    """`api_tokens [--user NAME] [--make NAME [--days N] | --revoke ID ... | --revoke-all] [--json]`."""

    help = (
        "List tokens, by which programs sign in; make or revoke them. No key is kept: a new one is printed once.\n\n"
        "Examples:\n"
        "  manage.py api_tokens\n"
        "  manage.py api_tokens --user shop --make nightly-import --days 30\n"
        "  manage.py api_tokens --revoke 3 4\n"
        "  manage.py api_tokens --user shop --revoke-all"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--user", metavar="NAME", help="only this user's tokens")
        parser.add_argument("--days", type=int, default=USUAL_DAYS, help=f"how long it lasts (default: {USUAL_DAYS})")
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--make", metavar="NAME", help="make a token of this name for the user")
        action.add_argument("--revoke", type=int, nargs="+", metavar="ID", help="end these tokens")
        action.add_argument("--revoke-all", action="store_true", help="end all tokens of the user")

    def handle(self, **options: Any) -> None:
        """Do what is asked, and print the token or the tokens."""
        tokens = Token.objects.select_related("user")
        if options["user"] is not None:
            user = User.objects.filter(username=options["user"]).first()
            if user is None:
                raise CommandError(f"there is no user {options['user']!r}")
            tokens = tokens.filter(user=user)
            if options["make"] is not None:
                return self._make(user, options)
        elif options["make"] is not None or options["revoke_all"]:
            raise CommandError("--make and --revoke-all need --user", returncode=2)
        if options["revoke"]:
            tokens = tokens.filter(pk__in=options["revoke"])
            if missing := sorted(set(options["revoke"]) - set(tokens.values_list("pk", flat=True))):
                raise CommandError(f"there is no token {', '.join(map(str, missing))}; nothing was revoked")
        rows = [_describe(token) for token in tokens]
        if options["revoke"] or options["revoke_all"]:
            tokens.delete()
            return self.answer(rows, f"{len(rows)} tokens revoked", options)
        headings = ("Id", "User", "Name", "Made", "Last used", "Expires")
        cells = [[str(cell or "-") for cell in row.values()] for row in rows]
        return self.answer(rows, build_table("Tokens", headings, cells, below=f"{len(rows)} tokens", words=6), options)

    def _make(self, user: User, options: dict[str, Any]) -> None:
        form = TokenForm({"name": options["make"], "days": options["days"]})
        if not form.is_valid():
            problems = [
                f"--{name.replace('name', 'make')}: {' '.join(map(str, texts))}" for name, texts in form.errors.items()
            ]
            raise CommandError(" ".join(problems), returncode=2)
        try:
            token, key = create_token(user, **form.cleaned_data)
        except TokenNameError as error:
            raise CommandError(str(error)) from error
        text = f"Token {token.pk}, {token}. Expires: {token.end}. Its key, which is shown this once:\n{key}"
        self.answer(_describe(token) | {"key": key}, text, options)


def _describe(token: Token) -> dict[str, Any]:
    return {
        "id": token.pk,
        "user": token.user.get_username(),
        "name": token.name,
        "created_at": token.created_at.isoformat(timespec="seconds"),
        "last_used_on": token.last_used_on and token.last_used_on.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(timespec="seconds"),
    }
