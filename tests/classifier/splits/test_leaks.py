"""The detector finds leaks that are planted, and nothing where nothing leaks."""

import numpy as np
import pytest

from classifier.ml.data.parts import Part
from classifier.models import SplitAssignment, SplitPicture
from classifier.splits.services import assign_parts
from tests.classifier.splits.leaks import find_leaks
from tests.support.factories import create_product
from tests.support.photographs import alter, draw_photograph, store

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def plant(sha256: str, *, part: Part) -> None:
    """Move a picture to a family of its own in this part, as nothing in the product does."""
    family = SplitAssignment.objects.create(part=part)
    SplitPicture.objects.filter(sha256=bytes.fromhex(sha256)).update(assignment=family)


def test_planted_leaks_are_found() -> None:
    choose = np.random.default_rng(11)
    photograph = draw_photograph(choose)
    copies = [store(alter(photograph, choose)) for _ in range(2)]
    siblings = [store(draw_photograph(choose)) for _ in range(2)]
    others = [store(draw_photograph(choose)) for _ in range(4)]
    product = create_product(images=siblings)
    images = [image.pk for image in (*copies, *siblings, *others)]
    assert len(assign_parts(images)) == 8
    assert find_leaks(images) == []

    for (first, second), shared in ((copies, "a photograph"), (siblings, f"product {product.pk}")):
        plant(first.stored_picture.sha256, part=Part.TEST)
        plant(second.stored_picture.sha256, part=Part.TRAINING)
        (leak,) = [leak for leak in find_leaks(images) if leak.shared == shared]
        assert set(leak.parts) == {"test", "training"}
        assert set(leak.sha256s) == {first.stored_picture.sha256, second.stored_picture.sha256}
    assert len(find_leaks(images)) == 2
    assert len(find_leaks([copies[0].pk])) == 1, "the other side need not be asked for"

    left_out = SplitAssignment.objects.filter(pictures__sha256=bytes.fromhex(copies[1].stored_picture.sha256))
    left_out.update(left_out_because="photograph", left_out_at="2026-01-01T00:00Z")
    assert [leak.shared for leak in find_leaks(images)] == [f"product {product.pk}"]
