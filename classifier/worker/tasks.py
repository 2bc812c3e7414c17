"""Every task that runs in a worker; the Celery application takes them from here.

Their names on the queue are given in their decorators: a module may move, a message stays.
"""

from classifier.adoption.tasks import adopt_task, impact_task
from classifier.cleaning.tasks import clean_task
from classifier.labelling.outputs import output_task
from classifier.labelling.tasks import label_batch_task, take_pictures_task
from classifier.reviews.tasks import record_reviews_task
from classifier.training.tasks import train_task
from classifier.worker.canaries import canary_task

__all__ = [
    "adopt_task",
    "canary_task",
    "clean_task",
    "impact_task",
    "label_batch_task",
    "output_task",
    "record_reviews_task",
    "take_pictures_task",
    "train_task",
]
