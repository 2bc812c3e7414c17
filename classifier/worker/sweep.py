"""The sweep: what messages and workers lost is found in the rows and sent again."""

import logging

from catalog.labels import fold_tallies
from classifier.adoption.tasks import send_adoption_runs, send_impact_runs
from classifier.adoption.watch import watch_adoptions
from classifier.audit.drawing import refresh_audit
from classifier.cleaning.tasks import send_cleaning_runs
from classifier.labelling import ledger
from classifier.labelling.outputs import send_output_runs
from classifier.labelling.runs import do_run_steps
from classifier.labelling.starting import MANY_BATCHES
from classifier.labelling.tasks import send_due_batches, send_taking_runs
from classifier.labels.day_counts import count_changes
from classifier.labels.precision import settle_texts
from classifier.labels.walk import walk_labels
from classifier.reviews.idempotency import forget_old_answers
from classifier.reviews.tasks import send_review_runs
from classifier.splits.services import assign_waiting_parts
from classifier.training import runs as training_runs
from classifier.training.tasks import send_queued_training
from classifier.training.waiting import release_trainings

logger = logging.getLogger(__name__)

# What a sweep spends on runs that take their pictures or close their tasks: a worker's main process waits meanwhile.
STEPS_SECONDS = 1.0
# The same for labels that follow from what texts say.
TEXTS_SECONDS = 1.0
# The same for pictures that fall into a part.
PARTS_SECONDS = 0.5
# The same for changes of labels that are not counted yet, of which a sweep usually finds those since the last one.
COUNTING_SECONDS = 1.0


def sweep() -> None:
    """Heal what messages and workers lost: expired leases, unsent or lost batches, runs left open, dead trainings.

    Before it sends, it does steps of the runs that take their pictures, or close their tasks, for a second or so; at
    its end it looks at some labels that other programs may have left behind, and lets pictures that people labelled
    fall into parts. Harmless at any time and from any number
    of processes at once.
    """
    expired = ledger.sweep_expired_leases()
    do_run_steps(seconds=STEPS_SECONDS)
    sent = send_due_batches(maximum=MANY_BATCHES)
    send_taking_runs()
    closed = ledger.close_finished_runs()
    abandoned = training_runs.abandon_dead_training_runs()
    release_trainings()
    send_queued_training()
    send_review_runs()
    send_adoption_runs()
    send_impact_runs()
    watch_adoptions()
    send_cleaning_runs()
    send_output_runs()
    walk_labels()
    settle_texts(seconds=TEXTS_SECONDS)
    assign_waiting_parts(seconds=PARTS_SECONDS)
    count_changes(seconds=COUNTING_SECONDS)
    fold_tallies()
    forget_old_answers()
    refresh_audit()
    if expired or abandoned:
        logger.warning("swept %s expired leases, %s dead trainings; sent %s batches", expired, abandoned, sent)
    elif sent or closed:
        logger.debug("sent %s batches, closed %s runs", sent, closed)
