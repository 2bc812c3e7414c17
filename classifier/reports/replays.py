"""The loop of reviews and trainings, replayed on a labelled folder: what so many reviews make of what is held out.

A reviewer who is always right labels pictures of the training part, the next ones after each training; each version is
then asked about the part that is held out, by the way that the catalogue's own products go.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.heads import Heads, SeenPictures, predict
from classifier.ml.judging.calibration import Calibration
from classifier.ml.judging.catalogues import ANSWERED_SHARES, TRUE, judge_answers
from classifier.ml.labels import GROUPS
from classifier.ml.reports.evaluation_report import WAYS
from classifier.ml.reports.plots import plot_bands
from classifier.ml.teaching.choosing import CANDIDATES, choose_useful
from classifier.ml.teaching.reviews import ReviewedPictures, TooFewReviewsError, retrain
from classifier.reports.evaluations import answer_product, learn_titles

#: After so many reviews a version is trained and asked.
STEPS: Final = (0, 50, 100, 300, 1000)
#: The part of a folder that is reviewed; all others are held out.
REVIEWED_SPLIT: Final = "train"
QUEUE, RANDOM = "queue", "random"
#: The tiles of a page of the queue.
PAGE_SIZE: Final = 24
#: The figures that are drawn, with their titles.
PLOTTED: Final = {"balanced_accuracy": "Balanced accuracy over groups", "unsure": "Unsure"}


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """N pictures, what a base saw in them, and what they show: ``classes`` int[N] are indices of ``TRUE``."""

    seen: SeenPictures
    classes: NDArray[np.int64]
    titles: Sequence[str]
    countries: Sequence[str]

    def take(self, chosen: NDArray[np.integer]) -> "LabelledPictures":
        """Those at the indices int[M], in that order."""
        return LabelledPictures(
            self.seen.take(chosen),
            self.classes[chosen],
            [self.titles[index] for index in chosen.tolist()],
            [self.countries[index] for index in chosen.tolist()],
        )


#: Chooses ``count`` more of the pictures: their indices int[count].
Chooser = Callable[..., NDArray[np.int64]]


def replay(
    reviewed: LabelledPictures,
    held_out: LabelledPictures,
    *,
    calibration: Calibration,
    choose: Chooser,
    seed: int,
    steps: Sequence[int] = STEPS,
) -> Iterator[dict[str, Any]]:
    """Yield the figures of one replay after each of the steps that the reviewed part has pictures for."""
    generator = np.random.default_rng(seed)
    chosen = np.empty(0, dtype=np.int64)
    heads = Heads(calibration)
    for step in steps:
        if step > len(reviewed.classes):
            return
        more = choose(reviewed, chosen=chosen, heads=heads, count=step - len(chosen), generator=generator)
        chosen = np.concatenate([chosen, more])
        if step:
            taught = reviewed.take(chosen)
            # Too few leave what was there.
            with suppress(TooFewReviewsError):
                heads = retrain(
                    ReviewedPictures(taught.seen, taught.classes, taught.titles, families=chosen),
                    calibration=calibration,
                ).heads
        yield {"reviews": step, "ways": judge(held_out, heads=heads)}


def choose_randomly(
    pictures: LabelledPictures, *, chosen: NDArray[np.int64], count: int, generator: np.random.Generator, heads: Heads
) -> NDArray[np.int64]:
    """So many of those that are not chosen yet, each as likely as any other."""
    left = np.setdiff1d(np.arange(len(pictures.classes)), chosen)
    return generator.permutation(left)[:count]


def choose_by_queue(
    pictures: LabelledPictures, *, chosen: NDArray[np.int64], count: int, generator: np.random.Generator, heads: Heads
) -> NDArray[np.int64]:
    """As the queue of what is unsure does, a page after the other: half useful ones, and half drawn from all."""
    said = [one.group_probabilities for one in predict(pictures.seen, heads=heads)]
    probabilities = np.array([[groups[name] for name in GROUPS] for groups in said])
    features = pictures.seen.features.astype(np.float32)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    groups = np.where(pictures.classes < len(GROUPS), pictures.classes, -1)
    taken = chosen
    while len(taken) < len(chosen) + count:
        size = min(PAGE_SIZE, len(chosen) + count - len(taken))
        candidates = choose_randomly(pictures, chosen=taken, count=CANDIDATES, generator=generator, heads=heads)
        useful = choose_useful(
            features[candidates],
            probabilities=probabilities[candidates],
            reviewed=features[taken],
            groups=groups[taken],
            count=size // 2,
        )
        taken = np.concatenate([taken, candidates[useful]])
        drawn = choose_randomly(pictures, chosen=taken, count=size - len(useful), generator=generator, heads=heads)
        taken = np.concatenate([taken, drawn])
    return taken[len(chosen) :]


#: The ways of choosing what is reviewed next.
CHOOSERS: Final[Mapping[str, Chooser]] = {QUEUE: choose_by_queue, RANDOM: choose_randomly}


def judge(pictures: LabelledPictures, *, heads: Heads) -> dict[str, dict[str, float | None]]:
    """The figures of what heads say of pictures alone, and with titles where there are any, by their name."""
    said = predict(pictures.seen, heads=heads)
    truth = [TRUE[index] for index in pictures.classes.tolist()]
    answers = {"pictures": [answer_product(one) for one in said]}
    if any(pictures.titles):
        learned = learn_titles(pictures.titles, heads=heads)
        answers["titles"] = [
            answer_product(one, title=title, country=country, learned=odds)
            for one, title, country, odds in zip(said, pictures.titles, pictures.countries, learned, strict=True)
        ]
    return {way: _select(judge_answers(of, truth=truth)) for way, of in answers.items()}


def _select(figures: Mapping[str, Any]) -> dict[str, float | None]:
    shares = {
        "balanced_accuracy": figures["balanced_accuracy"],
        "accuracy": figures["accuracy"],
        "answered": figures["answered"],
        "accuracy_of_answered": figures["accuracy_of_answered"],
        "accuracy_of_surest": figures["accuracy_of_surest"][str(ANSWERED_SHARES[-1])],
        "none_missed": figures["none_missed"],
    }
    values = {name: share["value"] for name, share in shares.items()}
    unsure = None if values["answered"] is None else 1 - values["answered"]
    return {**values, "unsure": unsure, "calibration_error": figures["calibration_error"]}


def summarise(replays: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The mean, the standard error and the band (5 % to 95 %) of each figure after each step, over the seeds' replays.

    A step that a figure is not known of in every replay is None there.
    """
    steps = []
    for rows in zip(*replays, strict=True):
        ways = {
            way: {name: _describe([row["ways"][way][name] for row in rows]) for name in figures}
            for way, figures in rows[0]["ways"].items()
        }
        steps.append({"reviews": rows[0]["reviews"], "ways": ways})
    return steps


def _describe(values: Sequence[float | None]) -> dict[str, float] | None:
    known = np.array([value for value in values if value is not None])
    if len(known) < len(values):
        return None
    low, high = np.quantile(known, [0.05, 0.95])
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else 0.0
    return {"mean": float(known.mean()), "standard_error": float(error), "low": float(low), "high": float(high)}


def find_as_good(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, float | None]]:
    """By each way of deciding: after so many random reviews the balanced accuracy is that of each step of the queue.

    Between steps it is taken to rise along a straight line over the logarithm of the reviews. None stands where random
    reviews never get there. Empty without both ways of choosing.
    """
    if not {RANDOM, QUEUE} <= curves.keys():
        return {}
    return {
        way: {
            str(step["reviews"]): _find_crossing(curves[RANDOM], way=way, goal=_balanced(step, way=way))
            for step in curves[QUEUE]
            if step["reviews"]
        }
        for way in curves[QUEUE][0]["ways"]
    }


def _balanced(step: Mapping[str, Any], *, way: str) -> float | None:
    figure = step["ways"][way]["balanced_accuracy"]
    return None if figure is None else figure["mean"]


def _find_crossing(steps: Sequence[Mapping[str, Any]], *, way: str, goal: float | None) -> float | None:
    points = [(step["reviews"], value) for step in steps if (value := _balanced(step, way=way)) is not None]
    if goal is None:
        return None
    for (before, low), (after, high) in pairwise(points):
        if low < goal <= high:
            share = (goal - low) / (high - low)
            return float(np.expm1((1 - share) * np.log1p(before) + share * np.log1p(after)))
    return 0.0 if points and points[0][1] >= goal else None


def plot_replays(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, bytes]:
    """The plots of a replay by the name of their file, light and dark: a line and band for each way of choosing."""
    places = [f"{step['reviews']:,}" for step in next(iter(curves.values()))]
    files: dict[str, bytes] = {}
    for way in next(iter(curves.values()))[0]["ways"]:
        for name, title in PLOTTED.items():
            lines = {
                chooser: [
                    tuple(figure[edge] for edge in ("low", "mean", "high"))
                    for step in steps
                    if (figure := step["ways"][way][name]) is not None
                ]
                for chooser, steps in curves.items()
            }
            if all(len(line) == len(places) for line in lines.values()):
                drawn = plot_bands(
                    lines, places=places, title=f"{title}: {WAYS[way].lower()}", axes_labels=("Reviews", "")
                )
                stem = f"{way}-{name.replace('_', '-')}"
                files |= {f"{stem}-{theme}.svg": content for theme, content in drawn.items()}
    return files
