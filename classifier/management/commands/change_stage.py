"""Ask for a version's stage, decide about it, go back."""

from argparse import ArgumentParser
from typing import Any, Final

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from classifier.adoption.serializers import ASKED_STAGES, StageChangeSerializer
from classifier.adoption.services import (
    Asker,
    GateNotMetError,
    Stage,
    StageError,
    approve_stage_change,
    ask_for_stage,
    reject_stage_change,
    roll_back,
    withdraw_stage_change,
)
from classifier.management.activation import add_user_option, describe_request, read_asker, refuse_activation
from classifier.ml.artefacts import ArtefactError
from classifier.models import ModelVersion, StageChange
from config.console import ReportingCommand

ACTIONS: Final = ("request", "approve", "reject", "withdraw", "rollback")


class Command(ReportingCommand):
    """`change_stage ACTION [VERSION] --reason TEXT [--user NAME] [--to STAGE] [--force] [--without-catalogue]`."""

    help = (
        "Ask for a version's stage, decide about the open request of a version, or go back to what was replaced.\n\n"
        "Examples:\n"
        "  manage.py change_stage request 7 --user ann --reason 'Taught by the reviews of May'\n"
        "  manage.py change_stage approve 7 --user bob --reason 'Seen its impact'\n"
        "  manage.py change_stage request 7 --to rejected --user ann --reason 'Takes belts for bags'\n"
        "  manage.py change_stage rollback --user bob --reason 'Labels of shoes went wrong'\n\n"
        "A request for production passes a gate: exit status 3, and nothing is written, where the version may be\n"
        "worse than the one that is there. --force asks for it all the same."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("action", choices=ACTIONS, help="what to do")
        parser.add_argument("version", type=int, nargs="?", metavar="VERSION", help="the id of the model version")
        parser.add_argument("--reason", required=True, metavar="TEXT", help="why; is kept")
        parser.add_argument(
            "--to", default=Stage.PRODUCTION.value, choices=[stage.value for stage in ASKED_STAGES], help="the stage"
        )
        parser.add_argument("--force", action="store_true", help="ask for it although the gate is not met")
        parser.add_argument(
            "--without-catalogue",
            action="store_true",
            help="approve although too few of the catalogue's own pictures could be compared",
        )
        add_user_option(parser)

    def handle(self, *args: Any, action: str, version: int | None, **options: Any) -> None:
        """Do it and say what became of it."""
        asker = read_asker(options)
        if (version is None) != (action == "rollback"):
            raise CommandError("expected the id of a VERSION, but for rollback, which has none", returncode=2)
        try:
            change = self._act(action, version, asker, options)
        except GateNotMetError as error:
            raise refuse_activation(error) from error
        except ArtefactError as error:
            raise CommandError(str(error), returncode=3) from error
        except StageError as error:
            raise CommandError(str(error)) from error
        named = f"Model version {change.model_version_id}, {change.from_stage} to {change.to_stage}"
        self.answer(
            StageChangeSerializer(change).data, f"{named}: {change.decision}.{describe_request(change)}", options
        )

    def _act(self, action: str, version_id: int | None, asker: Asker, options: dict[str, Any]) -> StageChange:
        reason = options["reason"]
        if action == "rollback":
            return roll_back(reason=reason, asker=asker)
        version = ModelVersion.objects.filter(pk=version_id).first() if version_id is not None else None
        if version is None:
            raise CommandError(f"There is no model version {version_id}.")
        if action == "request":
            return ask_for_stage(
                version, to=options["to"], asker=asker, reason=reason, force=options["force"], ask=True
            )
        change = version.stage_changes.filter(decision=StageChange.Decision.OPEN).first()
        if change is None:
            raise CommandError(f"There is no open request for model version {version_id}.")
        user = self._get_user(asker)
        if action == "approve":
            return approve_stage_change(
                change, user=user, reason=reason, without_catalogue=options["without_catalogue"]
            )
        return (reject_stage_change if action == "reject" else withdraw_stage_change)(change, user=user, reason=reason)

    def _get_user(self, asker: Asker) -> User:
        if asker.user is None:
            raise CommandError("a decision needs --user NAME", returncode=2)
        return asker.user
