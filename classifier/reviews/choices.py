"""What a queue gives out."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q

from classifier.models import ReviewTile


@dataclass(frozen=True, slots=True)
class Choice:
    """A product that a queue gives out, with its first image.

    `inclusion_probability`, above 0 and at most 1, is how likely the audit was to draw it; None of what it did not.
    `control` is the id of the review that decided a dispute, of a picture that is shown to be compared with it.
    """

    product_id: int
    image_id: int
    blind: bool = False
    inclusion_probability: float | None = None
    control: int | None = None


def is_open(product_id: str, image_id: str) -> Q:
    """Return the condition that somebody has the product open now, or another one that shows the same image.

    The arguments name the columns of a product's id and of its first image's.
    """
    tiles = ReviewTile.objects.filter(state=ReviewTile.State.OPEN)
    return Q(Exists(tiles.filter(product=OuterRef(product_id)))) | Q(Exists(tiles.filter(image=OuterRef(image_id))))
