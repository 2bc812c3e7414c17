"""The product's main job on a demo catalogue, from an empty machine to the site."""

import os
import secrets
import signal
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from typing import IO, Any, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from catalog.demo.catalogue import load_demo_catalogue
from classifier.adoption.services import Asker, Stage, Way, request_stage_change
from classifier.labelling.starting import start_labelling_run
from classifier.labels.precision import refresh_precisions, settle_texts
from classifier.management.demo_summary import build_demo_summary, build_summary_table, list_summary_lines
from classifier.management.progress import WorkerEndedError, wait_for_run
from classifier.ml.artefacts import DEFAULT_ARTEFACT, ArtefactError
from classifier.registry.runtime import get_classifier, record_golden_answers
from classifier.registry.selectors import find_active_model_version
from classifier.registry.services import register_model_version
from config.console import ProgressReport
from config.processes import KeptRunning, running

LABELLING_WORKER = ("celery", "-A", "config", "worker", "-Q", "labelling", "-n", "labelling@%h", "--loglevel=INFO")
TRAINING_WORKER = (
    "celery",
    "-A",
    "config",
    "worker",
    "-Q",
    "training",
    "-c",
    "1",
    "-n",
    "training@%h",
    "--loglevel=INFO",
)
# How often it looks whether the site and the workers live.
LOOK_SECONDS = 0.5
# What labels that follow from texts may take.
SETTLE_SECONDS = 60.0


class Command(BaseCommand):
    """`demo`: what `make demo` runs once the environment is set up."""

    help = (
        "Load the demo catalogue, label it with the shipped artefact by a Celery worker, sum up, serve the site.\n"
        "Run it again at any time: nothing is loaded or labelled twice.\n\n"
        "Example:\n  DEMO_SERVE=0 manage.py demo\n  PORT=9000 manage.py demo"
    )
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.formatter_class = RawDescriptionHelpFormatter

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, label, sum up, serve."""
        # A kill stops the workers and the site in order, as Ctrl-C does, which a shell's background job would ignore.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        self.say("Database and media storage")
        call_command("migrate", verbosity=0, interactive=False)
        self.create_admin()
        logs = settings.VAR_DIR / "log"
        # It takes seconds to start, while this process loads what there is to label.
        with KeptRunning("labelling worker", *LABELLING_WORKER, log=logs / "labelling.log") as labelling:
            self.load_catalogue()
            self.register_artefact()
            try:
                self.label(is_alive=lambda: labelling.process.poll() is None)
            except WorkerEndedError:
                code = labelling.process.poll()
                raise CommandError(f"The worker ended with code {code}. See {labelling.log}") from None
            except KeyboardInterrupt:
                raise CommandError("Stopped while labelling; run it again to go on from there.") from None
            if os.environ.get("DEMO_SERVE") == "0":
                return
            with KeptRunning("training worker", *TRAINING_WORKER, log=logs / "training.log") as training:
                self.serve(port=os.environ.get("PORT", "8000"), workers=[labelling, training])

    def say(self, text: str) -> None:
        """Name the step that begins."""
        self.stdout.write(self.style.MIGRATE_HEADING(text))

    def create_admin(self) -> None:
        """Make the user `admin` on the first run and show its password, which is kept nowhere else."""
        users = get_user_model().objects
        if users.filter(username="admin").exists():
            return
        password = secrets.token_urlsafe(12)
        users.create_superuser(username="admin", password=password)
        self.stdout.write(f"  sign in at /admin/ as admin with the password {password}  (shown this once)")

    def load_catalogue(self) -> None:
        """Import the demo products; a second time nothing changes."""
        self.say("Demo catalogue")
        report = load_demo_catalogue()
        self.stdout.write(
            f"  {report.created} products created, {report.changed} changed, {report.unchanged} unchanged"
        )

    def register_artefact(self) -> None:
        """Make the shipped artefact the active version, unless another one is active."""
        self.say("Classifier")
        version = find_active_model_version()
        if version is None:
            try:
                version = register_model_version(DEFAULT_ARTEFACT)
                record_golden_answers(get_classifier(version), digest=version.manifest_sha256)
                request_stage_change(version, to=Stage.PRODUCTION, asker=Asker(Way.COMMAND))
            except ArtefactError as error:
                raise CommandError(f"The shipped artefact cannot be used: {error}") from error
        self.stdout.write(f"  model version {version.pk}: {version.name}")

    def label(self, *, is_alive: Callable[[], bool]) -> None:
        """Label what is not labelled yet and print the summary table."""
        self.say("Labelling")
        started_at = time.monotonic()
        run = start_labelling_run()
        if run.total or run.is_taking:
            with ProgressReport(cast(IO[str], self.stderr), title="Labelling", unit="pictures") as report:
                wait_for_run(run, report=report, is_alive=is_alive)
        run.refresh_from_db()
        # What a worker does once an hour: so the first labels already say what titles are worth.
        refresh_precisions()
        settle_texts(seconds=SETTLE_SECONDS)
        summary = build_demo_summary(run, seconds=time.monotonic() - started_at)
        Console(file=cast(IO[str], self.stdout), highlight=False).print(build_summary_table(summary))
        for line in list_summary_lines(summary):
            self.stdout.write(line)

    def serve(self, *, port: str, workers: Sequence[KeptRunning]) -> None:
        """Serve the site until Ctrl-C, and start a worker again when it ends."""
        log = settings.VAR_DIR / "log" / "site.log"
        address = f"127.0.0.1:{port}"
        with running("gunicorn", "config.wsgi", "--bind", address, "--workers", "2", "--threads", "4", log=log) as site:
            self.say(f"The site is on http://{address}/ (admin: http://{address}/admin/). Ctrl-C ends it.")
            try:
                while (code := site.poll()) is None:
                    for line in filter(None, [worker.look() for worker in workers]):
                        self.stdout.write(line)
                        self.stdout.flush()
                    time.sleep(LOOK_SECONDS)
            except KeyboardInterrupt:
                self.stdout.write("Stopping.")
                for worker in workers:
                    worker.process.terminate()  # all at once; leaving the block waits for each
                return
        raise CommandError(f"The site ended with code {code}; is port {port} taken? See {log}")
