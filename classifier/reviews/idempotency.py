"""Calls that are sent twice and done once: the same key gets the answer that the first one got."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from classifier.models import AnsweredCall

#: An answer is kept so long.
KEPT = timedelta(days=7)
# Answers that one sweep removes at most.
REMOVED_AT_ONCE = 5000


class OtherCallError(ValueError):
    """A key that came with another call before."""


def answer_once(*, user: User, key: str | None, body: Any, make: Callable[[], tuple[int, Any]]) -> tuple[int, Any]:
    """Return what `make` returns, status and JSON, in one transaction with the note that the key is used.

    A key that this user sent before gets that call's answer, and nothing is made; with another body it raises
    `OtherCallError`. Of two at the same time the second waits for the first. What raises is not noted.
    """
    if key is None:
        return make()
    sha256 = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    with transaction.atomic():
        call = AnsweredCall(user=user, key=key, body_sha256=sha256, status=0, answer={})
        try:
            with transaction.atomic():
                call.save()
        except IntegrityError:
            known = AnsweredCall.objects.get(user=user, key=key)
            if known.body_sha256 != sha256:
                raise OtherCallError(
                    "Expected a new Idempotency-Key; this one came with another body before."
                ) from None
            return known.status, known.answer
        call.status, call.answer = make()
        call.save(update_fields=["status", "answer"])
    return call.status, call.answer


def forget_old_answers() -> int:
    """Remove answers that are older than `KEPT`, some thousand at a time; return how many."""
    old = AnsweredCall.objects.filter(created_at__lt=Now() - KEPT).order_by("created_at").values("pk")
    return AnsweredCall.objects.filter(pk__in=old[:REMOVED_AT_ONCE]).delete()[0]
