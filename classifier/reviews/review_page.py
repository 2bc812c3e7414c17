"""What the review page shows: its tiles, with what was said of them, and what its keys and buttons do."""

from dataclasses import dataclass

from django.http import QueryDict
from django.urls import reverse

from classifier.ml.labels import GARMENTS_OF_GROUPS
from classifier.models import SUGGESTION_CHOICES, Review, ReviewBatch, ReviewTile, describe_label, split_label
from classifier.reviews.batches import Tile, list_tiles
from classifier.reviews.recording import Submission
from classifier.reviews.services import check_label
from config.db.arrays import AnyOf
from config.web.queries import parse_id

#: What a label may be: its value, its words and its key.
LABELS = [(value, words, key) for (value, words), key in zip(SUGGESTION_CHOICES, "123456x", strict=True)]
#: Each group with the keys of its garments.
GARMENTS = [(group, list(zip("7890", names, strict=False))) for group, names in GARMENTS_OF_GROUPS]
#: What a button of the page does, its words, its key, and how the key is written.
ACTS = [
    ("accept", "Accept", " ", "Space"),
    ("accept-all", "Accept the rest", "a", "a"),
    ("undo", "Undo", "z", "z"),
    ("look", "Look closer", "Enter", "Enter"),
    ("keys", "Keys", "?", "?"),
]
HELP = [
    (["1 to 5"], "Sets the group of the picture under the pointer, or of the one with the frame."),
    (["6"], "It is none of these."),
    (["x"], "The picture is unusable: nothing can be told by it."),
    (["7 to 0"], "Names the garment, after the group or at once; the buttons say which."),
    (["Space"], "Accepts the suggestion, and goes on."),
    (["a"], "Accepts every suggestion that is left on the page. Pictures without one stay."),
    (["z"], "Undoes the last step, whatever it was and on whichever page."),
    (["←", "↑", "→", "↓"], "Go from picture to picture; Home and End to the first and the last."),
    (["b to y"], "Go to the picture with this letter."),
    (["Shift"], "With an arrow or a click, takes all pictures in between."),
    (["Enter"], "Shows the picture large, with the reasons, the texts and what the network saw."),
]


@dataclass(frozen=True, slots=True)
class TileView:
    """A tile as the page shows it; `review` is what its reviewer said of it in this batch, None before."""

    tile: Tile
    review: Review | None
    standing: Review | None

    @property
    def image_id(self) -> int:
        """The image that is labelled."""
        return self.tile.row.image_id

    @property
    def appearance(self) -> str:
        """The look of the picture."""
        return self.tile.appearance

    @property
    def sha256(self) -> str:
        """Our copy of the picture; empty while there is none."""
        return self.tile.picture.sha256 if self.tile.picture else ""

    @property
    def title(self) -> str:
        """The product's title."""
        return self.tile.row.product.title

    @property
    def suggestion(self) -> str:
        """What is suggested, a group or a verdict; empty without a suggestion."""
        return self.tile.row.suggestion

    @property
    def garment(self) -> str:
        """The garment of the suggestion."""
        return self.tile.garment

    @property
    def suggestion_words(self) -> str:
        """The suggestion in words, without its garment."""
        return describe_label(**split_label(self.suggestion)) if self.suggestion else "No suggestion"

    @property
    def confidence(self) -> float | None:
        """How sure the suggestion is; None of a person's."""
        return None if self.standing else self.tile.confidence

    @property
    def seen(self) -> int | str:
        """The id of the person's label that stands; empty without one."""
        return self.tile.seen_review or ""

    @property
    def said(self) -> str:
        """What the reviewer said, a group or a verdict; empty before."""
        return (self.review.group or self.review.verdict) if self.review else ""

    @property
    def said_words(self) -> str:
        """The same in words."""
        return self.review.words if self.review else ""

    @property
    def garment_said(self) -> str:
        """The garment that the reviewer named."""
        return self.review.garment if self.review else ""

    @property
    def beside(self) -> str:
        """What another person said of the picture; nothing where that could lead the reviewer."""
        return f"{self.standing.reviewer} said {self.standing.words}." if self.standing else ""

    @property
    def look(self) -> str:
        """The address of the product at large."""
        blind = "blind" if self.tile.row.blind else "full"
        return f"{reverse('product-detail', args=[self.tile.row.product_id])}?fragment={blind}"


def list_tile_views(batch: ReviewBatch) -> list[TileView]:
    """Return the batch's tiles as the page shows them, in four queries."""
    tiles = [tile for tile in list_tiles(batch) if tile.row.state != ReviewTile.State.FREED]
    own = Review.objects.filter(batch=batch, withdrawn_at__isnull=True).order_by("pk")
    said = {review.image_id: review for review in own}
    others = Review.objects.select_related("reviewer").exclude(reviewer=batch.reviewer_id)
    others = others.filter(AnyOf("pk", [tile.seen_review for tile in tiles if tile.seen_review and not tile.row.blind]))
    standing = {review.pk: review for review in others}
    return [TileView(tile, said.get(tile.row.image_id), standing.get(tile.seen_review or 0)) for tile in tiles]


def read_form(batch: ReviewBatch, form: QueryDict) -> list[Submission]:
    """Return what the page's form says, where no script runs; with `rest` the suggestions that are left as well.

    What is said already is not said again. Raises `ReviewError` for what no label is.
    """
    submissions = []
    for tile in list_tile_views(batch):
        is_left = not tile.said and "rest" in form
        value = form.get(f"label-{tile.image_id}") or (tile.suggestion if is_left else "")
        if not value or value == tile.said:
            continue
        label = split_label(value)
        garment = tile.garment if value == tile.suggestion else ""
        check_label(garment=garment, **label)
        submissions.append(
            Submission(
                image=tile.image_id,
                garment=garment,
                **label,
                seen_review=parse_id(form.get(f"seen-{tile.image_id}", "")),
                appearance=form.get(f"appearance-{tile.image_id}", ""),
                batch=batch.pk,
            )
        )
    return submissions
