"""What the page of data says of parts."""

from typing import Any, Final

from classifier.ml.data.parts import SHARES, Part
from classifier.models import SplitAssignment, SplitPicture, SplitProduct

#: Pictures of a part that are counted at most, and families that are listed.
MOST_COUNTED: Final = 10_000
MOST_LISTED: Final = 20

_USES: Final = {
    Part.TRAINING: "Trains; measures only by answers of versions that it did not train.",
    Part.VALIDATION: "Chooses between versions.",
    Part.CALIBRATION: "Says how sure a version may be.",
    Part.TEST: "Measures, and never trains.",
}


def build_parts_section() -> dict[str, Any]:
    """Return the section on parts, as `report.html` shows it: how many pictures each has, and what is left out."""
    pictures = SplitPicture.objects.order_by()
    standing = pictures.filter(assignment__left_out_because="")
    counted = [
        (
            part.value.capitalize(),
            _count(standing.filter(assignment__part=part)),
            _count(SplitProduct.objects.filter(assignment__part=part, assignment__left_out_because="").order_by()),
            f"{share} %",
            _USES[part],
        )
        for part, share in SHARES.items()
    ]
    left_out = _count(pictures.exclude(assignment__left_out_because=""))
    blocks = [
        {
            "table": {
                "caption": "Pictures and products of each part",
                "columns": ("Part", "Pictures", "Products", "Share drawn", "Use"),
                "words": 5,
                "rows": counted,
            }
        }
    ]
    if left_out != "0":
        families = SplitAssignment.objects.exclude(left_out_because="").select_related("left_out_for")
        blocks.append(
            {
                "table": {
                    "caption": f"Families that were left out last, of {left_out} pictures in all",
                    "columns": ("Family", "Part", "Since", "Why", "Met family"),
                    "words": 5,
                    "rows": [_describe(family) for family in families.order_by("-pk")[:MOST_LISTED]],
                }
            }
        )
    return {
        "id": "parts",
        "title": "Reviewed pictures by part",
        "text": [
            "A picture that people labelled falls into a part with all pictures of its products and all copies of it, "
            "resized, cropped or mirrored: once and for ever.",
            "Where such families of several parts turn out to be one, test keeps its pictures, and the others are left "
            "out for ever.",
        ],
        "blocks": blocks,
    }


def _count(rows: Any) -> str:
    number = rows[: MOST_COUNTED + 1].count()
    return f"over {MOST_COUNTED:,}" if number > MOST_COUNTED else f"{number:,}"


def _describe(family: SplitAssignment) -> tuple[str, ...]:
    met = family.left_out_for
    return (
        str(family.pk),
        family.get_part_display(),
        f"{family.left_out_at:%-d %b %Y}",
        family.get_left_out_because_display().capitalize(),
        f"{met.pk}, {met.get_part_display()}" if met is not None else "",
    )
