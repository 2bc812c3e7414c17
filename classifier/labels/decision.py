"""What decides a label: the only place that knows. Facts go in, a decision comes out; nothing is read or written here.

A person's newest review that stands, for the picture it was given for; else nothing more than that it is a placeholder,
where the picture is taken for one; else what the version in production said of the picture that we hold, together with
what the product's texts say; else what the versions in production before it said, newest first; else a failure. Texts
label no product whose picture nobody looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from catalog.models import ProductLabel
from classifier.ml.judging.fusion import SILENT, Evidence, Fused, Outcome, PictureEvidence, TextSaid, fuse
from classifier.models import Verdict

Status = ProductLabel.Status
Source = ProductLabel.Source
#: The reason of a label that no version decides, since its picture is none of the product.
PLACEHOLDER = ProductLabel.Reason.PLACEHOLDER
#: The reason of a label that picture and title contradict each other about.
DISAGREEMENT = ProductLabel.Reason.DISAGREEMENT

#: No version abstains from here on but for a picture that shows too little of clothes.
SURE_OF_NOTHING = 0.98

#: The status of a person's label.
REVIEWED_STATUSES = {
    Verdict.GROUP: Status.REVIEWED,
    Verdict.NONE_OF_THESE: Status.NONE_OF_THESE,
    Verdict.UNUSABLE: Status.UNUSABLE,
}
_REASONS = {Outcome.UNSURE: ProductLabel.Reason.UNSURE, Outcome.DISAGREEMENT: DISAGREEMENT}


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What a person said of a picture; it is bound once it names an appearance, and not an address alone."""

    id: int
    group: str
    garment: str
    at: datetime
    is_bound: bool = True
    verdict: str = Verdict.GROUP


@dataclass(frozen=True, slots=True)
class Classified:
    """What a version said of a picture."""

    id: int
    model_version_id: int
    group: str
    garment: str
    confidence: float
    abstained: bool
    garment_unsure: bool
    at: datetime
    garment_probabilities: Sequence[float] = ()
    none_probability: float | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of a picture that gave no label."""

    code: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What is known of an image's picture.

    `sha256` is the hash of the bytes that we hold of the image's present address, empty without any. `review` is the
    newest one that stands for this picture, `placeholder_since` says since when it is taken for a placeholder.
    `classifications` are those of this picture by versions that are or were in production, the one that counts first.
    """

    image_id: int
    sha256: str = ""
    review: Reviewed | None = None
    placeholder_since: datetime | None = None
    classifications: Sequence[Classified] = field(default=())
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A label as its row holds it; the fields have the names of `ProductLabel`'s."""

    status: str
    image_id: int | None = None
    group: str = ""
    garment: str = ""
    garment_unsure: bool = False
    confidence: float | None = None
    source: str = ""
    reason: str = ""
    evidence: str = ""
    model_version_id: int | None = None
    classification_id: int | None = None
    review_id: int | None = None
    labelled_at: datetime | None = None


def decide(facts: PictureFacts | None, texts: TextSaid = SILENT) -> Decision:
    """Return the label that follows from what is known of a product's first image, or of any image; None is no image.

    `texts` is what the product's texts say. A person's label of a group has the confidence 1, another
    one has none; both name the version and classification that they correct.
    """
    if facts is None:
        return Decision(status=Status.NO_IMAGE)
    machine = facts.classifications[0] if facts.classifications else None
    if facts.review is not None:
        return Decision(
            status=REVIEWED_STATUSES[Verdict(facts.review.verdict)],
            image_id=facts.image_id,
            group=facts.review.group,
            garment=facts.review.garment,
            confidence=1.0 if facts.review.group else None,
            source=Source.PERSON,
            model_version_id=machine.model_version_id if machine else None,
            classification_id=machine.id if machine else None,
            review_id=facts.review.id,
            labelled_at=facts.review.at,
        )
    if facts.placeholder_since is not None:
        return Decision(
            status=Status.NEEDS_REVIEW,
            image_id=facts.image_id,
            reason=PLACEHOLDER,
            labelled_at=facts.placeholder_since,
        )
    if machine is not None:
        return _decide_by_evidence(facts.image_id, machine, texts)
    if facts.failure is not None:
        return Decision(
            status=Status.FAILED,
            image_id=facts.image_id,
            reason=facts.failure.code,
            labelled_at=facts.failure.at,
        )
    return Decision(status=Status.PENDING, image_id=facts.image_id)


def _decide_by_evidence(image_id: int, said: Classified, texts: TextSaid) -> Decision:
    """Return the label that a picture and texts give together."""
    fused = fuse(
        PictureEvidence(
            group=said.group,
            garment=said.garment,
            confidence=said.confidence,
            garment_probabilities=said.garment_probabilities,
            none_probability=said.none_probability or 0.0,
            is_kept=not said.abstained,
            is_seen=not said.abstained or said.confidence < SURE_OF_NOTHING,
        ),
        texts,
    )
    if fused.outcome == Outcome.NONE_OF_THESE:
        status = Status.NONE_OF_THESE
    else:
        status = Status.LABELLED if fused.outcome == Outcome.LABELLED else Status.NEEDS_REVIEW
    return Decision(
        status=status,
        image_id=image_id,
        group=fused.group,
        garment=fused.garment,
        garment_unsure=status == Status.LABELLED and _is_garment_unsure(said, texts, fused),
        confidence=fused.confidence,
        source=Source.MACHINE,
        reason=_REASONS.get(fused.outcome, ""),
        evidence="" if fused.evidence == Evidence.PICTURE else fused.evidence,
        model_version_id=said.model_version_id,
        classification_id=said.id,
        labelled_at=said.at,
    )


def _is_garment_unsure(said: Classified, texts: TextSaid, fused: Fused) -> bool:
    """Return whether no title names the garment within the group that stands, and the picture was not sure of it."""
    if texts.has_vote and texts.garment and texts.garment == fused.garment:
        return False
    return said.garment_unsure or said.group != fused.group
