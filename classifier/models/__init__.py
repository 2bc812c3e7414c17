"""The classifier's tables, one file a feature; whoever uses them imports them from here."""

from classifier.models.labelling import Classification, LabellingRun, LabelTask, LabelTaskQuerySet, RunSelection
from classifier.models.queues import QueueCanary
from classifier.models.reviews import Review, ReviewPart, ReviewRun
from classifier.models.trainings import TrainingRun
from classifier.models.versions import STAGE_TRANSITIONS, ModelVersion

__all__ = [
    "STAGE_TRANSITIONS",
    "Classification",
    "LabelTask",
    "LabelTaskQuerySet",
    "LabellingRun",
    "ModelVersion",
    "QueueCanary",
    "Review",
    "ReviewPart",
    "ReviewRun",
    "RunSelection",
    "TrainingRun",
]
