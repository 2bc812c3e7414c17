"""Heads that reviews teach: groups, what is none of them, titles; each survives its file and is judged out of fold."""

import dataclasses

import numpy as np
import pytest
import safetensors.numpy

from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.heads import (
    GroupHead,
    SeenPictures,
    answer_zero_reviews,
    parse_heads,
    predict,
    trust_photographs,
    write_heads,
)
from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GROUPS, group_probabilities
from classifier.ml.teaching.reviews import (
    MINIMUM_MARKS,
    NONE,
    ReviewedPictures,
    TooFewReviewsError,
    assign_folds,
    retrain,
)

CALIBRATION = load_manifest(DEFAULT_ARTEFACT).calibration_values()
#: A word of each class; the others say nothing.
NAMING = ("tunic", "jeans", "gown", "boot", "satchel", "umbrella")


def draw(
    count: int, *, classes: int = NONE, noise: float = 0.25, seed: int = 0, titles: tuple[str, ...] = ("",)
) -> ReviewedPictures:
    """Pictures around a direction for each class, of which the base's own answer says nothing."""
    generator = np.random.default_rng(seed)
    shown = generator.integers(0, classes, count)
    features = np.eye(64)[shown] + noise * generator.normal(size=(count, 64))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    nothing = np.zeros(count, dtype=bool)
    logits, views = np.zeros((count, 10), np.float16), np.ones(count, np.uint8)
    seen = SeenPictures(features.astype(np.float16), logits, nothing, nothing, views, nothing)
    named = [f"Acme {titles[shown[number] % len(titles)]} {number % 7}".strip() for number in range(count)]
    return ReviewedPictures(seen, shown, named if any(titles) else [""] * count, families=np.arange(count))


def say(reviewed: ReviewedPictures, heads: object) -> tuple[np.ndarray, np.ndarray]:
    """The groups that heads say of the pictures, and how likely each is none."""
    said = predict(reviewed.seen, heads=heads)
    return np.array([GROUPS.index(one.group) for one in said]), np.array([one.none_probability for one in said])


def test_reviews_teach_groups_and_confidence_is_what_it_says() -> None:
    assert CALIBRATION.photographs is not None
    # Of drawn features the shipped base cannot tell which look turned: none does.
    photographs = dataclasses.replace(
        CALIBRATION.photographs, upright_embedding=[0.0] * 64, upright_bias=20.0, distance=None
    )
    calibration = dataclasses.replace(CALIBRATION, photographs=photographs)
    heads = retrain(draw(300, noise=0.4), calibration=calibration).heads
    others = draw(1000, noise=0.4, seed=1)
    said = predict(others.seen, heads=heads)
    right = np.array([GROUPS.index(one.group) for one in said]) == others.classes
    confidence = np.array([one.confidence for one in said])
    assert 0.7 < right.mean() < 0.93
    assert abs(confidence.mean() - right.mean()) < 0.06
    kept = np.array([not one.abstained for one in said])
    assert right[kept].mean() > right.mean() + 0.05


def test_heads_survive_their_file() -> None:
    heads = retrain(draw(400, classes=NONE + 1, titles=NAMING), calibration=CALIBRATION).heads
    assert heads.none is not None
    assert heads.titles is not None
    again = parse_heads(write_heads(heads), calibration=CALIBRATION)
    others = draw(50, classes=NONE + 1, seed=1, titles=NAMING)
    for before, after in zip(say(others, heads), say(others, again), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-6)
    np.testing.assert_allclose(again.titles.odds(others.titles), heads.titles.odds(others.titles), atol=1e-2)


def test_a_group_that_nobody_showed_stays_possible_and_is_not_made_up() -> None:
    reviewed = draw(200, classes=4)
    heads = retrain(reviewed, calibration=CALIBRATION).heads
    said, _ = say(draw(500, classes=4, seed=1), heads)
    assert set(said.tolist()) <= {0, 1, 2, 3}
    unknown, _ = say(draw(1, classes=1), heads)
    probabilities = predict(draw(20, classes=4, seed=2).seen, heads=heads)[0].group_probabilities
    assert all(0 < probability < 1 for probability in probabilities.values())
    assert unknown.tolist() == [0]


def test_marks_teach_what_is_none_of_the_groups() -> None:
    heads = retrain(draw(400, classes=NONE + 1), calibration=CALIBRATION).heads
    others = draw(1000, classes=NONE + 1, seed=1)
    _, none = say(others, heads)
    is_none = others.classes == NONE
    assert (none[is_none] > 0.5).mean() > 0.6
    assert (none[~is_none] > 0.5).mean() < 0.1
    kept = np.array([not one.abstained for one in predict(others.seen, heads=heads)])
    assert not kept[none >= 0.5].any()


def test_without_marks_what_is_far_from_garments_is_in_doubt_and_never_surely_none() -> None:
    reviewed = draw(400)
    heads = retrain(reviewed, calibration=CALIBRATION).heads
    far = draw(200, classes=1, seed=1)
    features = np.zeros((200, 64), np.float16)
    features[:, 40] = 1
    _, none = say(dataclasses.replace(far, seen=dataclasses.replace(far.seen, features=features)), heads)
    assert none.min() == none.max() == 0.5
    _, of_garments = say(draw(1000, seed=2), heads)
    assert (of_garments >= 0.5).mean() < 0.12
    few = draw(400, classes=NONE + 1, seed=3)
    marked = np.flatnonzero(few.classes == NONE)[MINIMUM_MARKS - 1 :]
    chosen = np.setdiff1d(np.arange(400), marked)
    fewer = ReviewedPictures(few.seen.take(chosen), few.classes[chosen], [""] * len(chosen), few.families[chosen])
    assert not retrain(fewer, calibration=CALIBRATION).heads.none.weights.any()


def test_what_was_taught_before_reviews_counts_while_reviews_are_few() -> None:
    first = GroupHead(20 * np.eye(64, 5, dtype=np.float32), np.zeros(5, np.float32))
    reviewed, others = draw(30, noise=0.35), draw(1000, noise=0.35, seed=1)
    right = [
        (say(others, retrain(reviewed, calibration=CALIBRATION, first=head).heads)[0] == others.classes).mean()
        for head in (None, first)
    ]
    assert right[1] > right[0] + 0.05
    heads = retrain(reviewed, calibration=CALIBRATION, first=first).heads
    again = parse_heads(write_heads(heads), calibration=CALIBRATION)
    np.testing.assert_array_equal(say(others, again)[0], say(others, heads)[0])


@pytest.mark.parametrize("titles, count", [(NAMING, True), (("shop",), False), (("",), False)])
def test_titles_count_where_they_say_more_than_pictures(titles: tuple[str, ...], count: bool) -> None:
    retrained = retrain(draw(300, noise=0.35, titles=titles), calibration=CALIBRATION)
    assert (retrained.heads.titles is not None) == count
    if not count:
        np.testing.assert_array_equal(retrained.by_both, retrained.by_pictures)
        return
    classes = draw(300, noise=0.35, titles=titles).classes
    by_pictures, by_both = (
        (said.argmax(axis=1) == classes).mean() for said in (retrained.by_pictures, retrained.by_both)
    )
    assert by_both > by_pictures + 0.1


def test_answers_out_of_fold_do_not_know_the_family() -> None:
    reviewed = draw(200)
    # Each of ten families holds pictures that are the same, with labels that nothing else says.
    families = np.arange(200) // 20
    features = np.random.default_rng(0).normal(size=(10, 64))[families]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    seen = dataclasses.replace(reviewed.seen, features=features.astype(np.float16))
    labels = np.arange(10).repeat(20) % NONE
    retrained = retrain(ReviewedPictures(seen, labels, [""] * 200, families), calibration=CALIBRATION)
    assert (say(ReviewedPictures(seen, labels, [""] * 200, families), retrained.heads)[0] == labels).mean() > 0.9
    assert (retrained.by_pictures.argmax(axis=1) == labels).mean() < 0.5
    folds = assign_folds(families)
    assert all(len(set(folds[families == family])) == 1 for family in range(10))
    assert np.bincount(folds).tolist() == [40] * 5


@pytest.mark.parametrize("count, classes", [(29, 5), (100, 1)])
def test_too_few_reviews_are_refused(count: int, classes: int) -> None:
    with pytest.raises(TooFewReviewsError, match="expected 30 reviewed pictures of garments, of two groups"):
        retrain(draw(count, classes=classes), calibration=CALIBRATION)


def look_turned(reviewed: ReviewedPictures, *, turned: np.ndarray) -> ReviewedPictures:
    """The pictures with the one feature by which `find_turned_by_one_feature` tells which of them look turned."""
    features = reviewed.seen.features.copy()
    features[:, 40] = turned
    return dataclasses.replace(reviewed, seen=dataclasses.replace(reviewed.seen, features=features))


def find_turned_by_one_feature() -> Calibration:
    photographs = CALIBRATION.photographs
    assert photographs is not None
    return dataclasses.replace(
        CALIBRATION,
        photographs=dataclasses.replace(
            photographs,
            upright_logits=[0.0] * 10,
            upright_embedding=[0.0] * 40 + [-40.0] + [0.0] * 23,
            upright_bias=20.0,
        ),
    )


def test_what_looks_turned_is_doubted_as_before_while_nobody_reviewed_such() -> None:
    heads = retrain(look_turned(draw(300), turned=np.zeros(300)), calibration=find_turned_by_one_feature()).heads
    others = look_turned(draw(400, seed=1), turned=np.arange(400) < 200)
    said = predict(others.seen, heads=heads)
    confidence = np.array([one.confidence for one in said])
    assert confidence[:200].max() < 0.21
    assert np.median(confidence[200:]) > 0.9
    assert all(one.abstained for one in said[:200])
    # Heads of files that were written before doubt nothing.
    former = dataclasses.replace(heads, photographs=dataclasses.replace(heads.photographs, doubts=0.0))
    assert np.median([one.confidence for one in predict(others.seen, heads=former)[:200]]) > 0.9


@pytest.mark.parametrize("are_right, least, most", [(True, 0.0, 0.1), (False, 0.7, 1.0)])
def test_what_looks_turned_is_doubted_as_far_as_reviews_bear_it_out(are_right: bool, least: float, most: float) -> None:
    reviewed = look_turned(draw(300), turned=np.arange(300) < 30)
    # Of those that look turned a garment is taken for another one, if it is.
    classes = reviewed.classes.copy()
    if not are_right:
        classes[:30] = np.random.default_rng(5).integers(0, NONE, 30)
    heads = retrain(dataclasses.replace(reviewed, classes=classes), calibration=find_turned_by_one_feature()).heads
    assert least < heads.photographs.doubts <= most


def test_a_little_doubt_about_upright_photographs_takes_none_of_that_about_turned_ones() -> None:
    # A base without colours doubts each photograph a little.
    upright = dataclasses.replace(find_turned_by_one_feature().photographs, upright_bias=3.0, upright_colours=None)
    calibration = dataclasses.replace(CALIBRATION, photographs=upright)
    reviewed = look_turned(draw(300), turned=np.zeros(300))
    assert 0.02 < 1 - trust_photographs(reviewed.seen, calibration=calibration).max() < 0.1
    assert retrain(reviewed, calibration=calibration).heads.photographs.doubts == 1.0


def test_heads_of_older_files_go_on_from_what_was_said_with_its_doubts() -> None:
    heads = retrain(draw(60, noise=0.35), calibration=CALIBRATION).heads
    content = safetensors.numpy.load(write_heads(heads))
    assert content.pop("groups/undoubted") == [1.0]
    older = parse_heads(safetensors.numpy.save(content), calibration=CALIBRATION)
    seen = draw(50, seed=1).seen
    judged = answer_zero_reviews(seen, calibration=CALIBRATION)
    expected = heads.photographs.probabilities(
        seen.features,
        groups=group_probabilities(judged.garment_probabilities),
        trust=trust_photographs(seen, calibration=CALIBRATION),
    )
    said = [[one.group_probabilities[name] for name in GROUPS] for one in predict(seen, heads=older)]
    np.testing.assert_allclose(said, expected, atol=1e-6)
    now = [[one.group_probabilities[name] for name in GROUPS] for one in predict(seen, heads=heads)]
    assert np.abs(np.array(now) - expected).max() > 0.01
