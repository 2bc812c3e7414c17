"""The page of data says how many pictures each part has, and what is left out and why."""

import pytest
from django.utils import timezone

from classifier.ml.data.fingerprints import FINGERPRINT_BYTES
from classifier.models import SplitAssignment, SplitPicture, SplitProduct
from classifier.splits.reports import build_parts_section

pytestmark = [pytest.mark.django_db]


def create_family(part: str, *, pictures: int, products: int = 0, **left_out: object) -> SplitAssignment:
    family = SplitAssignment.objects.create(part=part, **left_out)
    for number in range(pictures):
        SplitPicture.objects.create(
            sha256=family.pk.to_bytes(16) + number.to_bytes(16),
            assignment=family,
            fingerprint=bytes(FINGERPRINT_BYTES),
        )
    for number in range(products):
        SplitProduct.objects.create(product_id=family.pk * 100 + number, assignment=family)
    return family


def test_parts_are_counted_and_what_is_left_out_says_why() -> None:
    first = build_parts_section()
    assert [row[1] for row in first["blocks"][0]["table"]["rows"]] == ["0", "0", "0", "0"]
    assert len(first["blocks"]) == 1

    create_family("training", pictures=3, products=2)
    test = create_family("test", pictures=1)
    left = create_family(
        "training", pictures=2, left_out_because="product", left_out_for=test, left_out_at=timezone.now()
    )
    parts, families = (block["table"] for block in build_parts_section()["blocks"])
    assert [row[:3] for row in parts["rows"]] == [
        ("Training", "3", "2"),
        ("Validation", "0", "0"),
        ("Calibration", "0", "0"),
        ("Test", "1", "0"),
    ]
    (row,) = families["rows"]
    assert (row[0], row[1], row[3], row[4]) == (
        str(left.pk),
        "training",
        "A product of the other family",
        f"{test.pk}, test",
    )
