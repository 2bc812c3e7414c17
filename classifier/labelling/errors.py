"""The error queue: its codes in words, and what people do with it: try a picture again, or leave it be.

An entry is a task that failed, by the task's id, or a suspected picture, which has its own id below zero.
"""

from collections.abc import Collection, Mapping
from functools import partial

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Least, Now

from catalog.models import Image
from catalog.pictures.replacing import replace_image
from classifier.labelling.ledger import MAXIMUM_CRASHES
from classifier.labelling.tasks import send_due_batches
from classifier.labels.decision import PLACEHOLDER
from classifier.labels.placeholders import answer_suspects
from classifier.models import Classification, LabellingRun, LabelTask, SuspectedPicture

State = LabelTask.State
# Errors that one call may touch; a statement stays small and the list that chose them is one that a person has seen.
MAXIMUM_ERRORS = 1000
#: Permissions to mend a picture: that replaces what many products may show, and tries it again.
MENDING = ("classifier.change_labeltask", "catalog.change_image")


def retry_errors(task_ids: Collection[int]) -> int:
    """Let those of the tasks that are in the error queue be tried again, now and as often as new ones; return how many.

    A task that a worker holds, or that is done, cancelled or about to be, stays as it is. One that was in a crash is
    tried alone, and given up again at the next crash that it causes. The tries go to the task's own run and version.
    """
    with transaction.atomic():
        retried = (
            LabelTask.objects.errors()
            .filter(pk__in=task_ids)
            .of_no_closing_run()
            .update(
                state=State.RETRY,
                attempts=0,
                crashes=Least("crashes", MAXIMUM_CRASHES - 1),
                next_try_at=Now(),
                sent_at=None,
            )
        )
        if retried:
            transaction.on_commit(partial(send_due_batches, maximum=MAXIMUM_ERRORS))
    return retried


def retry_run_errors(run: LabellingRun, *, maximum: int) -> tuple[int, bool]:
    """Let what failed in a run be tried again as `retry_errors` does, at most `maximum`; return how many, and if all.

    What people chose to ignore stays, and what is to be tried now anyway, as after the same call a moment ago.
    """
    failed = LabelTask.objects.filter(run=run, state__in=[State.RETRY, State.FAILED])
    failed = failed.exclude(state=State.RETRY, attempts=0, next_try_at__lte=Now())
    task_ids = list(failed.order_by("last_failed_at", "pk").values_list("pk", flat=True)[: maximum + 1])
    parts = [task_ids[start : min(start + MAXIMUM_ERRORS, maximum)] for start in range(0, maximum, MAXIMUM_ERRORS)]
    return sum(retry_errors(part) for part in parts if part), len(task_ids) <= maximum


def mend_image(image: Image, *, url: str) -> tuple[Image, int, int]:
    """Replace the image's address as `replace_image` does, and let what failed of it be tried again, now.

    Return the image of that address, how many products show it instead, and how many tasks are tried again. A failed
    task goes on with that image, in its own run; where its version has a task of that image, that one is tried again if
    it failed, and the former is closed, as where its run has labelled that image. With the address that the image has,
    it is tried again and nothing else is.
    """
    with transaction.atomic():
        # Tasks before images, in the order of whoever finishes or closes them.
        shown = Image.objects.filter(Q(pk=image.pk) | Q(url=url)).order_by()
        held = LabelTask.objects.filter(image__in=shown.values("pk")).errors().order_by("pk")
        list(held.select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))
        replacement, number = replace_image(image, url=url)
        if replacement.pk != image.pk:
            failed = LabelTask.objects.filter(image=image).errors()
            known = LabelTask.objects.filter(image=replacement).values_list("model_version", flat=True)
            labelled = Classification.objects.filter(image=replacement).order_by().values("run")
            others = failed.exclude(model_version__in=list(known)).exclude(run__in=labelled)
            others.update(image=replacement, former=None)
            failed.update(state=State.CANCELLED, sent_at=None)
        errors = LabelTask.objects.filter(image=replacement).errors()
        retried = retry_errors(list(errors.values_list("pk", flat=True)))
    return replacement, number, retried


def ignore_errors(task_ids: Collection[int]) -> int:
    """Leave those of the tasks that failed or wait for another try alone for good; return how many.

    Nothing tries them again but `retry_errors`. A task that a worker holds stays as it is.
    """
    failed = LabelTask.objects.filter(pk__in=task_ids, state__in=[State.RETRY, State.FAILED])
    return failed.update(state=State.IGNORED, sent_at=None)


def ignore_entries(entry_ids: Collection[int], *, user: User) -> int:
    """Ignore those of the entries that failed, as `ignore_errors` does, or are suspected pictures; return how many."""
    ignored = ignore_errors([pk for pk in entry_ids if pk > 0])
    suspects = [-pk for pk in entry_ids if pk < 0]
    return ignored + answer_suspects(suspects, answer=SuspectedPicture.Answer.IGNORE, user=user)


def keep_entries(entry_ids: Collection[int], *, user: User) -> int:
    """Say of those of the entries that are suspected pictures that they are pictures; return how many."""
    suspects = [-pk for pk in entry_ids if pk < 0]
    return answer_suspects(suspects, answer=SuspectedPicture.Answer.PICTURE, user=user)


ERROR_WORDS: Mapping[str, str] = {
    "url_invalid": "The address is not one that pictures are fetched from",
    "url_blocked": "The address leads into a network that is closed to us",
    "dns_error": "The host's name is not known",
    "connect_error": "The host does not answer",
    "tls_error": "The host's certificate is not valid",
    "timeout": "The host took too long",
    "too_many_redirects": "The host sends us on and on",
    "http_4xx": "The host does not give out this picture",
    "http_5xx": "The host has an error",
    "rate_limited": "The host wants to be asked less often",
    "too_large": "The file is too large",
    "truncated": "The file ends too early",
    "bad_encoding": "The file came compressed, which we do not open",
    "not_found": "There is no such file in our storage",
    "not_image": "This is not a picture",
    "format_not_allowed": "The format is none of JPEG, PNG, WebP and GIF",
    "too_many_pixels": "The picture has too many pixels",
    "too_small": "The picture is too small",
    "decode_error": "The picture is damaged",
    "worker_crash": "The picture brought its worker down each time it was tried alone",
    "storage_error": "Our storage cannot be read, or takes no more",
    "artefact_error": "A worker's machine has not the model version's files, or has others",
    "worker_error": "A worker met a fault that is not the picture's; its log says more",
}


#: What the queue has beside failures, by the code that filters ask for.
QUEUE_WORDS: Mapping[str, str] = {PLACEHOLDER: "Many unlike products show this picture first", **ERROR_WORDS}


def get_error_words(code: str) -> str:
    """Return the code in words; one that has none is returned as it is."""
    return ERROR_WORDS.get(code, code)
