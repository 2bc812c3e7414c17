"""Label the catalogue's pictures with the model version in production."""

from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError

from classifier.labelling.pace import estimate_hosts
from classifier.labelling.reports import get_run_report
from classifier.labelling.runs import find_last_image_id
from classifier.labelling.starting import ShadowError, start_labelling_run
from classifier.management.progress import wait_for_run
from classifier.models import LabellingRun, ModelVersion
from classifier.registry.selectors import NoActiveModelVersionError, get_active_model_version
from config.console import ReportingCommand


class Command(ReportingCommand):
    """`label_catalog [--wait | --dry-run] [--relabel | --features-only | --shadow VERSION [--sample N]] [--limit N]`"""

    help = (
        "Start a labelling run over the pictures that the model version in production has not labelled yet.\n"
        "Workers do the work: celery -A config worker -Q labelling\n\n"
        "Example:\n  manage.py label_catalog --wait"
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument("--wait", action="store_true", help="show the progress and return when the run has ended")
        parser.add_argument(
            "--dry-run", action="store_true", help="say which hosts would hold the run up, and start none"
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--relabel", action="store_true", help="label again what this version has labelled")
        which.add_argument(
            "--features-only",
            action="store_true",
            help="look at pictures that are held and have no features; no label changes",
        )
        which.add_argument(
            "--shadow",
            type=positive_integer,
            metavar="VERSION",
            help="ask the version with this id, which is not in production; no label moves",
        )
        parser.add_argument("--sample", type=positive_integer, metavar="N", help="with --shadow: N products at random")
        parser.add_argument("--limit", type=positive_integer, metavar="N", help="take at most N pictures")

    def handle(
        self,
        *args: Any,
        wait: bool,
        dry_run: bool,
        relabel: bool,
        features_only: bool,
        shadow: int | None,
        sample: int | None,
        limit: int | None,
        **options: Any,
    ) -> None:
        """Start the run, and see it to its end with --wait."""
        if sample is not None and shadow is None:
            raise CommandError("Expected --shadow VERSION beside --sample.", returncode=2)
        if limit is not None and shadow is not None:
            raise CommandError("Expected --sample in the place of --limit beside --shadow.", returncode=2)
        try:
            version = ModelVersion.objects.get(pk=shadow) if shadow is not None else None
            if dry_run:
                self.estimate(version or get_active_model_version(), relabel=relabel, options=options)
                return
            run = start_labelling_run(
                relabel=relabel, features_only=features_only, shadow=version, sample=sample, limit=limit
            )
        except ModelVersion.DoesNotExist as error:
            raise CommandError(f"Expected the id of a model version; there is none with the id {shadow}.") from error
        except (NoActiveModelVersionError, ShadowError) as error:
            raise CommandError(str(error)) from error
        for pace in get_run_report(run).hosts if wait else ():
            self.stderr.write(pace.words)
        if wait:
            try:
                with self.show_progress(options, title="Labelling", unit="pictures") as shown:
                    wait_for_run(run, report=shown)
            except KeyboardInterrupt:
                raise CommandError(f"No longer waiting; labelling run {run.pk} goes on in the workers.") from None
        run.refresh_from_db()
        report = get_run_report(run)
        progress, errors = report.progress, dict(report.codes)
        text = (
            f"Labelling run {run.pk} is {run.state}: {progress.total} pictures{' so far' if run.is_taking else ''}, "
            f"{progress.done} labelled, {progress.failed} failed, {progress.waiting} waiting for another try."
        )
        self.answer(
            {"id": run.pk, "state": run.state, **asdict(progress), "errors": errors},
            "\n".join([text, *(f"  {number:>8}  {code}" for code, number in errors.items())]),
            options,
        )

    def estimate(self, version: ModelVersion, *, relabel: bool, options: dict[str, Any]) -> None:
        """Say which hosts would hold a run over all pictures up."""
        run = LabellingRun(model_version=version, relabel=relabel, takes_until=find_last_image_id())
        hosts = estimate_hosts(run)
        text = "\n".join(pace.words for pace in hosts) or "No host would hold the run up for a minute."
        self.answer({"hosts": [asdict(pace) for pace in hosts]}, text, options)


def positive_integer(text: str) -> int:
    """A whole number of at least 1. Raises `ArgumentTypeError`, which argparse reports as bad usage (exit 2)."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a whole number of at least 1, received {text!r}")
    return int(text)
