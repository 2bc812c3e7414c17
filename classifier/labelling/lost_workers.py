"""What a worker's main process does when a child dies with a batch in hand: the batch goes back at once.

Without it the pictures would wait for their lease to run out.
"""

import logging
from typing import Any

from celery.exceptions import WorkerLostError
from celery.worker.request import Request
from django.db import Error, connections

from classifier.labelling import ledger, tasks

logger = logging.getLogger(__name__)

# What a process is ended by for what it does itself; nobody else sends these.
FAULTS = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE")


class LabellingRequest(Request):
    """A labelling message that a child works on, as the main process sees it."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Give the tasks back if the child is gone; then do what Celery does."""
        # The error may come in a wrapper that carries its traceback as text.
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError):
            give_back_lost_tasks(self.args[0], by_own_fault=any(name in str(error) for name in FAULTS))
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Give the tasks back if the child is being killed at the hard limit; then do what Celery does."""
        if not soft:
            give_back_lost_tasks(self.args[0], by_own_fault=True)
        super().on_timeout(soft, timeout)


def give_back_lost_tasks(task_ids: list[int], *, by_own_fault: bool) -> None:
    """Give the tasks back with one crash more and send them; leave no connection that a child would share.

    A database that is down is logged: the leases run out by themselves.
    """
    try:
        lost = ledger.give_back_lost_tasks(task_ids, by_own_fault=by_own_fault)
        logger.warning("a child was lost; gave %s of its %s tasks back", lost, len(task_ids))
        tasks.send_due_batches(maximum=len(task_ids))
    except Error as error:
        logger.warning("a child was lost and the database is not reachable; its leases run out: %s", error)
    finally:
        connections.close_all()
