"""Numbers as reports write them."""

from classifier.ml.judging.shares import measure_share
from classifier.ml.words import write_fraction, write_share


def test_a_share_has_its_interval() -> None:
    share = measure_share(9874, of=10_000).to_json()
    assert write_share(share) == "98.7 % (98.5 to 98.9)"
    assert write_share(share, digits=2) == "98.74 % (98.50 to 98.94)"
    assert write_fraction(share) == "0.9874 (0.9850 to 0.9894)"


def test_of_too_few_and_of_what_is_not_known_there_is_a_dash() -> None:
    few = measure_share(29, of=29).to_json()
    assert {write_share(few), write_share(None), write_fraction(few), write_fraction(None)} == {"\N{EN DASH}"}
