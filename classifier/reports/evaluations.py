"""Evaluations of labelled catalogues: each product is decided as the catalogue's own are, and its label is judged."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from catalog.labels import name_evidence
from catalog.models import ProductLabel
from classifier.labels.decision import Classified, PictureFacts, decide
from classifier.labels.texts import read_product_texts
from classifier.ml.heads import Heads
from classifier.ml.judging.catalogues import NONE, Answer
from classifier.ml.judging.fusion import Evidence, TextSaid
from classifier.ml.labels import GARMENTS
from classifier.ml.reports.documents import save_document
from classifier.ml.types import Prediction


def answer_product(said: Prediction, *, title: str = "", country: str = "", learned: Sequence[float] = ()) -> Answer:
    """Return the label of a new product that shows first the picture of which this is said.

    A title has a vote, as where titles were found to be right; without one the picture decides alone. `learned` is what
    reviews taught about the title. Nothing is read from the catalogue or written to it.
    """
    classified = Classified(
        id=0,
        model_version_id=0,
        group=said.group,
        garment=said.garment,
        confidence=said.confidence,
        abstained=said.abstained,
        garment_unsure=said.garment_unsure,
        at=datetime.now(UTC),
        garment_probabilities=[said.garment_probabilities[garment] for garment in GARMENTS],
        none_probability=said.none_probability,
    )
    reading = read_product_texts(title, [(country, None, None)] if country else [])
    texts = TextSaid(reading.verdict, reading.group, reading.garment, reading.score, has_vote=True, learned=learned)
    label = decide(PictureFacts(image_id=0, classifications=[classified]), texts)
    return Answer(
        group=label.group or None,
        is_sure=label.status in (ProductLabel.Status.LABELLED, ProductLabel.Status.NONE_OF_THESE),
        confidence=label.confidence or 0.0,
        evidence=name_evidence(label.evidence, source=label.source),
        none_score=_score_none(said, group=label.group, evidence=label.evidence),
    )


def learn_titles(titles: Sequence[str], *, heads: Heads) -> list[Sequence[float]]:
    """What reviews taught about each title, as `TextSaid` has it; nothing of none, and where they taught nothing."""
    if heads.titles is None:
        return [()] * len(titles)
    # Without a title the picture decides alone, as it does for the catalogue's own products.
    return [odds if title else () for title, odds in zip(titles, heads.titles.odds(titles).tolist(), strict=True)]


def judge_wrong_titles(
    said: Sequence[Prediction],
    *,
    titles: Sequence[str],
    countries: Sequence[str],
    truth: Sequence[str],
    heads: Heads,
    turns: int,
    seed: int,
) -> dict[str, Any]:
    """Return what becomes of garments that have the title of a product of another group, each once in every turn.

    Titles have a vote, as if they were right elsewhere. `wrong` is the share that surely gets the label of another
    group, `none` the share that is surely said to be none of these, which is wrong as well.
    """
    stream = random.Random(f"wrong titles {seed}")  # noqa: S311 - nothing secret
    of_others = {group: [place for place, true in enumerate(truth) if true != group] for group in set(truth)}
    garments = [place for place, true in enumerate(truth) if true != NONE and of_others[true]]
    learned = learn_titles(titles, heads=heads)
    wrong = none = 0
    for _ in range(turns):
        for place in garments:
            other = stream.choice(of_others[truth[place]])
            answer = answer_product(said[place], title=titles[other], country=countries[place], learned=learned[other])
            wrong += answer.is_sure and answer.group not in (None, truth[place])
            none += answer.is_sure and answer.group is None
    count = max(turns * len(garments), 1)
    return {"turns": turns, "garments": len(garments), "seed": seed, "wrong": wrong / count, "none": none / count}


def _score_none(said: Prediction, *, group: str, evidence: str) -> float:
    """Return by how much it looks as if it were none of the groups: most where it is said to be, least by a title."""
    if not group:
        return 1.0
    return said.none_probability - 1.0 if evidence in (Evidence.TEXT, Evidence.BOTH) else said.none_probability


def save_evaluation(document: Mapping[str, Any], *, folder: Path) -> Path:
    """Store the evaluation of the catalogue in a folder, in the place of one of the same split and version.

    Return its path. Raises `OSError` where nothing can be written.
    """
    key = "\0".join((str(folder.resolve()), document["split"] or "", document["model_version"]))
    path = Path(settings.EVALUATIONS_DIR) / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    save_document(path, document=document, files={})
    return path


def list_evaluations() -> list[Path]:
    """Return where the stored evaluations are, complete or not."""
    return sorted(Path(settings.EVALUATIONS_DIR).glob("*.json"))
