"""A cleaning, phase by phase and step by step: the same for whoever asks, and for the workers' rounds."""

from collections.abc import Callable, Iterator
from typing import Final

from django.contrib.sessions.models import Session

from classifier.cleaning.features import clean_features
from classifier.cleaning.files import clean_files
from classifier.cleaning.images import clean_images
from classifier.cleaning.rules import Figures, Terms
from classifier.cleaning.versions import clean_versions
from config.db.clock import get_database_time

#: Sessions of one step.
SESSIONS: Final = 5000


def clean_sessions(_after: int, terms: Terms, figures: Figures) -> int | None:
    """Remove sessions that have ended; return None when none is left."""
    ended = Session.objects.filter(expire_date__lt=get_database_time())
    if terms.dry_run:
        figures.sessions += ended.count()
        return None
    keys = list(ended.values_list("pk", flat=True)[:SESSIONS])
    figures.sessions += Session.objects.filter(pk__in=keys).delete()[0]
    return 0 if len(keys) == SESSIONS else None


PHASES: Final[dict[str, Callable[[int, Terms, Figures], int | None]]] = {
    "images": clean_images,
    "versions": clean_versions,
    "features": clean_features,
    "files": clean_files,
    "sessions": clean_sessions,
}


def clean_next(phase: str, after: int, terms: Terms, figures: Figures) -> tuple[str, int] | None:
    """Do the step of this phase behind this place, add to the figures, and return where to go on; None at the end.

    A step is a transaction of its own, and safe to repeat: what was killed is found again. Raises StorageError.
    """
    following = PHASES[phase](after, terms, figures)
    if following is not None:
        return phase, following
    later = list(PHASES)[list(PHASES).index(phase) + 1 :]
    return (later[0], 0) if later else None


def clean_catalog(terms: Terms, *, figures: Figures) -> Iterator[tuple[str, int]]:
    """Do every step, one whenever the iterator goes on, and yield the phase and the place before each.

    With a dry run nothing is written, and the figures are those that the same without it has then. Raises StorageError;
    another call goes on with what is left.
    """
    place: tuple[str, int] | None = (next(iter(PHASES)), 0)
    while place is not None:
        yield place
        place = clean_next(*place, terms, figures)
