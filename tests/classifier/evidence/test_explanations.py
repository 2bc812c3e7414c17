"""What an explanation says in words."""

from dataclasses import replace

import pytest

from classifier.evidence.explanations import Explanation
from classifier.ml.occlusion import CoveredPart

EXPLANATION = Explanation(
    group="Footwear",
    probability=0.98,
    width=32,
    height=32,
    left=8.0,
    top=8.0,
    side=16.0,
    cell_side=8.0,
    largest=0.5,
    strengths=[[100, 0], [2, 0]],
    parts=[CoveredPart("upper left", 0.5, 0.48, "Footwear")],
    canonical_size=28,
    canonical_png="",
)


@pytest.mark.parametrize(
    "strengths, caption",
    [
        ([[0, 3], [-3, 0]], "No part is tinted"),
        ([[100, 0], [-3, 0]], "Green: covering it lowers Footwear, the more the stronger"),
        ([[100, 0], [-4, 0]], "Green: covering it lowers Footwear, the more the stronger; amber: it raises it"),
    ],
)
def test_the_caption_names_the_colours_that_are_to_be_seen(strengths: list[list[int]], caption: str) -> None:
    assert replace(EXPLANATION, strengths=strengths).caption == caption


@pytest.mark.parametrize(
    "part, sentence",
    [
        (
            CoveredPart("top", 0.25, 0.73, "Footwear"),
            "Covering the <b>top</b> lowers Footwear by <b>25.0 points</b>, to 73.0 %.",
        ),
        (
            CoveredPart("top", -0.01, 0.99, "Footwear"),
            "Covering the <b>top</b> raises Footwear by <b>1.0 points</b>, to 99.0 %.",
        ),
        (
            CoveredPart("left side", 0.9, 0.08, "Bags"),
            "Covering the <b>left side</b> lowers Footwear by <b>90.0 points</b>, to 8.0 %; Bags is likelier then.",
        ),
        (
            CoveredPart("<top>", 0.1, 0.8, "Footwear"),
            "Covering the <b>&lt;top&gt;</b> lowers Footwear by <b>10.0 points</b>, to 80.0 %.",
        ),
    ],
)
def test_each_part_is_a_sentence(part: CoveredPart, sentence: str) -> None:
    assert replace(EXPLANATION, parts=[part]).reasons == [sentence]


@pytest.mark.parametrize(
    "largest, end",
    [(0.03, "within 3.0 points of 98.0 %."), (0.0005, "within 0.1 points of 98.0 %."), (0.0004, "at 98.0 %.")],
)
def test_a_label_that_hangs_on_no_part_says_how_little_it_moves(largest: float, end: str) -> None:
    explanation = replace(EXPLANATION, parts=[], largest=largest)
    beginning = "No part decides alone: wherever an eighth of it is covered, Footwear stays "
    assert (explanation.reasons, explanation.no_reason) == ([], beginning + end)


def test_nothing_is_said_of_parts_where_the_network_saw_nothing() -> None:
    explanation = replace(EXPLANATION, side=0.0)
    assert explanation.reasons == []
    assert explanation.no_reason.startswith("Nothing stands out from the background of this picture")
