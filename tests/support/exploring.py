"""An exploration of the drawn data set, made once, by a judge with a fiftieth of the features."""

from functools import cache, partial
from typing import Any
from unittest.mock import patch

from classifier.ml.data.dataset import FashionMnist
from classifier.ml.data.label_errors import predict_out_of_fold
from classifier.ml.reports import exploration
from classifier.ml.reports.exploration import Exploration, ExplorationProgress, explore
from classifier.ml.reports.exploration_report import build_report
from tests.support.drawings import draw_dataset

Report = tuple[dict[str, Any], dict[str, bytes]]


def explore_quickly(
    dataset: FashionMnist, *, seed: int = 1, progress: ExplorationProgress = lambda done, total, note: None
) -> Exploration:
    """The exploration of a small data set."""
    with patch.object(exploration, "predict_out_of_fold", partial(predict_out_of_fold, features=64)):
        return explore(dataset, seed=seed, progress=progress)


@cache
def explore_drawings() -> Exploration:
    """The exploration of the drawn data set; no test may change it."""
    return explore_quickly(draw_dataset())


@cache
def report_drawings() -> Report:
    """The report on that exploration, and its files; no test may change them."""
    return build_report(draw_dataset(), explore_drawings())
