"""What commands share that change stages: the options, who asks, and how a gate that is not met ends them."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from classifier.adoption.services import Asker, Way, needs_approval
from classifier.models import StageChange
from classifier.registry.selectors import find_active_model_version

HELP = (
    "With --activate the version is asked for production, and comes there at once or, where APPROVALS is two, when\n"
    "another person than --user has approved it. It stays a candidate, with exit status 3, if it may be right on\n"
    "fewer pictures than the version that is there, of those that neither was trained on. A version whose network\n"
    "labels nothing is never activated."
)


def add_activation_options(parser: ArgumentParser) -> None:
    """Declare --activate, who asks for it, and what passes its gate."""
    parser.add_argument("--activate", action="store_true", help="bring it into production, so that labels follow it")
    parser.add_argument("--force", action="store_true", help="activate it even if it may be worse; needs --reason")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it is activated all the same; is kept")
    add_user_option(parser)


def add_user_option(parser: ArgumentParser) -> None:
    """Declare who asks or decides."""
    parser.add_argument("--user", metavar="NAME", help="who asks or decides; needed to approve")


def read_reason(options: dict[str, Any]) -> str:
    """Return why to activate what may be worse, empty without --force. Raises `CommandError` for one without others."""
    reason: str = options["reason"].strip()
    if options["force"] != bool(reason) or (options["force"] and not options["activate"]):
        raise CommandError("--force needs --activate and --reason, and --reason needs --force", returncode=2)
    return reason


def read_asker(options: dict[str, Any]) -> Asker:
    """Return who asks, by --user. Raises `CommandError` for an unknown name, and for none where two people decide."""
    name = options["user"]
    if name is None:
        # A database's first version takes no approval.
        if options.get("activate") and needs_approval() and find_active_model_version() is not None:
            raise CommandError("--activate needs --user NAME where APPROVALS is two", returncode=2)
        return Asker(Way.COMMAND)
    user = User.objects.filter(username=name, is_active=True).first()
    if user is None:
        raise CommandError(f"--user {name}: expected the name of an active user", returncode=2)
    return Asker(Way.COMMAND, user)


def describe_request(change: StageChange) -> str:
    """Return what is left to do for a request, empty where it is done."""
    if not change.is_open:
        return ""
    return f" Request {change.pk} for {change.to_stage} waits for another person's approval."


def refuse_activation(problem: object) -> CommandError:
    """Return what ends a command whose version is a candidate since the gate is not met."""
    return CommandError(f"{problem} To activate it all the same: --force --reason TEXT", returncode=3)
