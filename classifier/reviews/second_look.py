"""The second look: some of what one person labelled is shown to another, and to a third where these two disagree.

A person's label that the others contradict is a label error, perhaps, and is looked at again by anybody.
What a third decided is known, and asked again as a control: of tiles that are shown blind every thirtieth is one. What
is said of it decides nothing.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db.models import Count, F, QuerySet

from catalog.models import ProductLabel
from classifier.adoption.catalogue import CONTRADICTING_CONFIDENCE
from classifier.models import AuditSample, ModelVersion, OutOfFoldAnswer, QueueName, Review
from classifier.reviews.choices import Choice, is_open
from config.cached_counts import get_cached_count
from config.db.arrays import AnyOf

#: The newest reviews of queues that are looked through.
RECENT = 2_000
#: Of the audit's answers every fifth is asked for again.
AUDIT_SHARE = 5
#: Of the tiles of a blind queue this share is a control, one of the newest so many pictures that got a second look.
CONTROL_SHARE = 1 / 30
SECOND_LOOKS = 1_000
COUNT_KEY, FRESH_SECONDS, FRESH_TIMES, CACHED_SECONDS = "second-looks", 5.0, 50.0, 3600.0


@dataclass(slots=True)
class _Case:
    """A picture, and what each reviewer said last of it; `disputed` where a suggestion was another."""

    image_id: int
    said: dict[int, str] = field(default_factory=dict)
    disputed: bool = False

    @property
    def is_split(self) -> bool:
        """Whether two people looked at it and disagree."""
        return len(self.said) == 2 and len(set(self.said.values())) == 2

    @property
    def is_waiting(self) -> bool:
        """Whether one more person is to look at it."""
        return self.is_split or (len(self.said) == 1 and self.disputed)


def choose_second_look(reviewer: User, size: int) -> list[Choice]:
    """Return products whose picture waits for a second look, or a third, and that this reviewer did not label."""
    images = [case.image_id for case in _list_waiting() if reviewer.pk not in case.said]
    shown = ProductLabel.objects.filter(AnyOf("image", images)).filter(~is_open("product_id", "image_id"))
    products = dict(shown.order_by("-product_id").values_list("image_id", "product_id"))
    chosen = [image_id for image_id in images if image_id in products][:size]
    return [Choice(products[image_id], image_id, blind=True) for image_id in chosen]


def count_second_looks() -> int | None:
    """Return how many pictures wait for one, as counted a moment ago."""
    counted: int = get_cached_count(
        COUNT_KEY,
        count=lambda _: len(_list_waiting()),
        fresh_seconds=FRESH_SECONDS,
        fresh_times=FRESH_TIMES,
        timeout_seconds=CACHED_SECONDS,
    )
    return counted


def choose_label_errors(reviewer: User, size: int) -> list[Choice]:
    """Return products whose label is a review that the newest training contradicts, the surest first. One query."""
    answers = _list_contradictions().filter(review__productlabel__image__isnull=False)
    product_id, image_id = "review__productlabel__product_id", "review__productlabel__image_id"
    answers = answers.filter(~is_open(product_id, image_id)).order_by("-confidence", "review_id")
    # A picture that several products show is asked about once.
    first: dict[int, Choice] = {}
    for review_id, product, image in answers.values_list("review_id", product_id, image_id)[: 4 * size]:
        first.setdefault(review_id, Choice(product, image, blind=True))
    return list(first.values())[:size]


def count_label_errors() -> int | None:
    """Return how many reviews that are labels the newest training contradicts. One query."""
    answers = _list_contradictions().filter(review__productlabel__image__isnull=False)
    counted: int = answers.aggregate(number=Count("review", distinct=True))["number"]
    return counted


def _list_contradictions() -> QuerySet[OutOfFoldAnswer]:
    """Return the sure answers of the newest training by reviews that say something else than the review.

    They were given by heads that knew neither the review nor its family.
    """
    newest = OutOfFoldAnswer.objects.order_by("-model_version_id").values("model_version_id")[:1]
    answers = OutOfFoldAnswer.objects.filter(model_version=newest, confidence__gte=CONTRADICTING_CONFIDENCE)
    return answers.exclude(group=F("review__group"))


def mix_in_controls(
    choose: Callable[[User, int], Sequence[Choice]], *, share: float = CONTROL_SHARE
) -> Callable[[User, int], list[Choice]]:
    """Return what chooses as `choose` does, with controls in the place of a share of it; none where nothing waits."""
    chance = random.SystemRandom()

    def choose_mixed(reviewer: User, size: int) -> list[Choice]:
        chosen = list(choose(reviewer, size))
        number = sum(chance.random() < share for _ in chosen)
        controls = choose_controls(reviewer, number, chance=chance) if number else []
        known = {choice.product_id for choice in chosen}
        for control in controls:
            if control.product_id not in known:
                chosen.insert(chance.randrange(len(chosen) + 1), control)
        return chosen[:size]

    return choose_mixed


def choose_controls(reviewer: User, size: int, *, chance: random.Random) -> list[Choice]:
    """Return products, whichever chance takes, whose picture a third person decided and this reviewer never labelled.

    Three queries.
    """
    decisions = _find_decisions(reviewer)
    shown = ProductLabel.objects.filter(AnyOf("review", decisions)).filter(~is_open("product_id", "image_id"))
    # Of the products that show a picture one is enough; where somebody decided anew since, none has that review.
    rows = shown.filter(image__isnull=False).order_by("product_id").values_list("review_id", "product_id", "image_id")
    found = {
        review_id: Choice(product_id, image_id, blind=True, control=review_id)
        for review_id, product_id, image_id in rows
    }
    return chance.sample(list(found.values()), min(size, len(found)))


def _find_decisions(reviewer: User) -> list[int]:
    """Return the reviews by which a third person decided between two others, of pictures new to the reviewer."""
    looks = Review.objects.standing().filter(queue=QueueName.SECOND_LOOK).exclude(appearance="").order_by("-pk")
    looked_at = set(looks.values_list("appearance", flat=True)[:SECOND_LOOKS])
    given = Review.objects.filter(appearance__in=looked_at, withdrawn_at__isnull=True).order_by("pk")
    cases: dict[str, _Case] = defaultdict(lambda: _Case(0))
    decisions: dict[str, int] = {}
    met = set()
    fields = ("pk", "appearance", "reviewer_id", "verdict", "group", "queue", "control_id")
    for pk, appearance, reviewer_id, verdict, group, queue, control_id in given.values_list(*fields):
        if reviewer_id == reviewer.pk:
            met.add(appearance)
        if control_id is not None:
            continue
        case = cases[appearance]
        if case.is_split and reviewer_id not in case.said and queue == QueueName.SECOND_LOOK:
            decisions[appearance] = pk
        case.said[reviewer_id] = group or verdict
    return [pk for appearance, pk in decisions.items() if appearance not in met]


def _list_waiting() -> list[_Case]:
    """Return the pictures that wait, those that were labelled longest ago first. Three queries."""
    standing = Review.objects.standing().filter(image__isnull=False).exclude(queue="")
    fields = ("image_id", "appearance", "reviewer_id", "verdict", "group", "suggestion", "inclusion_probability")
    rows = list(standing.order_by("-pk").values_list(*fields)[:RECENT])
    drawn = _find_said_of_drawn([row[0] for row in rows if row[-1] is not None])
    cases: dict[str, _Case] = {}
    for image_id, appearance, reviewer_id, verdict, group, suggestion, probability in reversed(rows):
        case = cases.setdefault(appearance or str(image_id), _Case(image_id))
        case.said[reviewer_id] = group or verdict
        shown = drawn.get(image_id, "") if probability is not None else suggestion
        case.disputed |= bool(shown) and shown != (group or verdict)
        case.disputed |= probability is not None and image_id % AUDIT_SHARE == 0
    return [case for case in cases.values() if case.is_waiting]


def _find_said_of_drawn(image_ids: Sequence[int]) -> dict[int, str]:
    """Return the groups that machines said of these pictures of the audit."""
    of_production = AuditSample.objects.filter(round__model_version__stage=ModelVersion.Stage.PRODUCTION)
    samples = of_production.filter(AnyOf("image", image_ids))
    return dict(samples.order_by("round_id").values_list("image_id", "group")) if image_ids else {}
