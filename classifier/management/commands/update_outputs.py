"""Bring the pictures by group in a storage up to date."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError

from classifier.labelling.output_api import OutputRunSerializer
from classifier.labelling.output_views import describe_update
from classifier.labelling.outputs import (
    FILTERS,
    STORAGE,
    OutputError,
    OutputOpenError,
    cancel_output_run,
    carry_out_output_run,
    start_output_run,
)
from config.console import ReportingCommand
from config.db.troubles import explain


class Command(ReportingCommand):
    """`update_outputs [--filters TEXT] [--storage NAME] [--json]`."""

    help = (
        "Bring the pictures by group in a storage up to date: one folder for each group, and manifest.jsonl. Pictures\n"
        "are added, move to another group's folder, or go; each file is whole at any time. The update is a run, as\n"
        "the page Outputs starts them, and this process carries it out.\n\n"
        "Examples:\n"
        "  manage.py update_outputs\n"
        "  manage.py update_outputs --filters 'status=reviewed' --storage archive --json\n\n"
        "Exit status: 0 done; 1 it failed, and the next one goes on from there; 2 bad usage."
    )
    shows_progress = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command line."""
        parser.add_argument(
            "--filters",
            default=FILTERS,
            metavar="TEXT",
            help="as the list of products has them in its address (%(default)s)",
        )
        parser.add_argument("--storage", default=STORAGE, metavar="NAME", help="a name in STORAGES (%(default)s)")

    def handle(self, *args: Any, filters: str, storage: str, **options: Any) -> None:
        """Update, and say what was done."""
        try:
            run = start_output_run(filters=filters, storage=storage, here=True)
        except OutputError as error:
            raise CommandError(f"--{error.field}: {error}", returncode=2) from error
        except OutputOpenError as error:
            raise CommandError(str(error)) from error
        with self.show_progress(options, title="Update", unit="products") as progress:
            try:
                carry_out_output_run(run.pk, watch=lambda products: progress.update(products, 0))
            except DatabaseError as error:
                raise CommandError(
                    f"the database failed: {explain(error)}; the next update goes on from here"
                ) from error
            except KeyboardInterrupt:
                cancel_output_run(run)
                raise CommandError("interrupted; the next update goes on from here") from None
        run.refresh_from_db()
        if run.state == run.State.FAILED:
            raise CommandError(f"{run.error}; the next update goes on from here")
        if run.state != run.State.DONE:
            raise CommandError(f"Update {run.pk} was {run.state}; the next one goes on from here")
        self.answer(OutputRunSerializer(run).data, f"Update {run.pk}: {describe_update(run)}", options)
