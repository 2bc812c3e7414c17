"""The classifier's tables, one file a feature; whoever uses them imports them from here."""

from classifier.models.adoption import AdoptionRun
from classifier.models.audit import AuditRound, AuditSample
from classifier.models.cleaning import CleaningRun
from classifier.models.drift import Alarm, DriftCheck
from classifier.models.features import Base, PictureFeatures
from classifier.models.impact import ImpactProduct, ImpactRun
from classifier.models.labelling import (
    Classification,
    LabellingRun,
    LabellingRunQuerySet,
    LabelTask,
    LabelTaskQuerySet,
    SampledProduct,
    SelectedImage,
)
from classifier.models.labels import LabelChange, LabelCount, LabelCounting, LabelWalk
from classifier.models.outputs import OutputRun
from classifier.models.placeholders import SuspectedPicture
from classifier.models.queues import QueueCanary, is_unsent
from classifier.models.reviews import (
    SUGGESTION_CHOICES,
    AnsweredCall,
    ImageToReview,
    QueueName,
    Review,
    ReviewBatch,
    ReviewRun,
    ReviewTile,
    Verdict,
    describe_label,
    split_label,
)
from classifier.models.runs import OPEN_STATES, Run, RunState
from classifier.models.splits import SplitAssignment, SplitPicture, SplitProduct
from classifier.models.stages import ArtefactAnswers, StageChange, hash_evidence
from classifier.models.texts import TextEvidence, TextPrecision
from classifier.models.trainings import OutOfFoldAnswer, TrainingRun
from classifier.models.versions import STAGE_TRANSITIONS, ModelVersion

__all__ = [
    "OPEN_STATES",
    "STAGE_TRANSITIONS",
    "SUGGESTION_CHOICES",
    "AdoptionRun",
    "Alarm",
    "AnsweredCall",
    "ArtefactAnswers",
    "AuditRound",
    "AuditSample",
    "Base",
    "Classification",
    "CleaningRun",
    "DriftCheck",
    "ImageToReview",
    "ImpactProduct",
    "ImpactRun",
    "LabelChange",
    "LabelCount",
    "LabelCounting",
    "LabelTask",
    "LabelTaskQuerySet",
    "LabelWalk",
    "LabellingRun",
    "LabellingRunQuerySet",
    "ModelVersion",
    "OutOfFoldAnswer",
    "OutputRun",
    "PictureFeatures",
    "QueueCanary",
    "QueueName",
    "Review",
    "ReviewBatch",
    "ReviewRun",
    "ReviewTile",
    "Run",
    "RunState",
    "SampledProduct",
    "SelectedImage",
    "SplitAssignment",
    "SplitPicture",
    "SplitProduct",
    "StageChange",
    "SuspectedPicture",
    "TextEvidence",
    "TextPrecision",
    "TrainingRun",
    "Verdict",
    "describe_label",
    "hash_evidence",
    "is_unsent",
    "split_label",
]
