"""What the commands `backup` and `restore` share."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.core.management.base import CommandError

from config.backups import BackupError
from config.backups.services import Told
from config.console import ProgressReport, ReportingCommand


@contextmanager
def following(command: ReportingCommand, options: dict[str, Any]) -> Iterator[Told]:
    """Give what shows the phases of a backup, one after the other."""
    with ExitStack() as stack:
        reports: dict[str, ProgressReport] = {}

        def tell(phase: str, done: int, total: int | None) -> None:
            if phase not in reports:
                stack.close()
                reports[phase] = stack.enter_context(command.show_progress(options, title=phase, unit="files"))
            reports[phase].update(done, total)

        yield tell


@contextmanager
def telling_errors() -> Iterator[None]:
    """Turn what goes wrong into the command's own error."""
    try:
        yield
    except BackupError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise CommandError(what) from error
    except KeyboardInterrupt as error:
        raise CommandError("interrupted. Run the command again") from error
