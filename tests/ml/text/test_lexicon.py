"""The lexicon's files."""

import pytest

from classifier.ml.text.lexicon import fold, look_up


def test_folding_takes_case_and_accents_away() -> None:
    assert fold("Größe_ÉCHARPE łódź Œuvre") == "grosse echarpe lodz oeuvre"


@pytest.mark.parametrize("word", ["whose", "those", "video", "adidas"])
def test_the_end_of_another_word_is_no_compound(word: str) -> None:
    known = look_up(word)

    assert known is None or not known.naming
