"""What commands with `--activate` share: the options, and how a gate that is not met ends them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from classifier.ml.judging.gate import MARGIN

HELP = (
    f"With --activate it comes into production unless it may be right on {100 * MARGIN:.1f} % fewer pictures than the\n"
    "version that is there, both on pictures that neither was trained on; exit status 3 then. A version whose network\n"
    "labels nothing is never activated."
)


def add_activation_options(parser: ArgumentParser) -> None:
    """Declare --activate and what passes its gate."""
    parser.add_argument("--activate", action="store_true", help="bring it into production, so that labels follow it")
    parser.add_argument("--force", action="store_true", help="activate it even if it may be worse; needs --reason")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why it is activated all the same; is kept")


def read_reason(options: dict[str, Any]) -> str:
    """Return why to activate what may be worse, empty without --force. Raises `CommandError` for one without others."""
    reason: str = options["reason"].strip()
    if options["force"] != bool(reason) or (options["force"] and not options["activate"]):
        raise CommandError("--force needs --activate and --reason, and --reason needs --force", returncode=2)
    return reason


def refuse_activation(problem: object) -> CommandError:
    """Return what ends a command whose version is a candidate since the gate is not met."""
    return CommandError(f"{problem} To activate it all the same: --force --reason TEXT", returncode=3)
