"""The controls of the list of products: chips with counts, choices, selects, and how many products a page has."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from django.http import QueryDict

from catalog.browse.counts import ListCounts
from catalog.browse.listing import list_labelling_versions
from catalog.labels import Status
from catalog.models import ProductLabel
from classifier.ml.labels import GARMENTS_OF_GROUPS, GROUPS

# They divide by two, three, four and six columns, so that only the last page ends in a gap.
PAGE_SIZES = (24, 48, 96)
CONFIDENCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


class Chip(NamedTuple):
    """A choice that is always in view; `number` is how many products a list has with it alone, None is not known."""

    name: str
    value: str
    words: str
    is_chosen: bool
    number: int | None


class Control(NamedTuple):
    """A filter of the form; its `options` are (value, words, whether it is chosen), `nothing` the words of none."""

    title: str
    name: str
    options: list[tuple[str, str, bool]]
    nothing: str = "Any"

    @property
    def chosen(self) -> str:
        """The chosen options in words."""
        return ", ".join(words for _, words, is_chosen in self.options if is_chosen) or self.nothing


def build_chips(filters: Mapping[str, Any], counts: ListCounts) -> list[tuple[str, list[Chip]]]:
    """Return (title, chips) of the groups and of the statuses."""
    choices = (
        ("Group", "group", [(group, group) for group in GROUPS], counts.groups),
        ("Status", "status", Status.choices, counts.statuses),
    )
    return [
        (
            title,
            [
                Chip(name, value, words, value in filters.get(name, ()), None if known is None else known.get(value, 0))
                for value, words in options
            ],
        )
        for title, name, options, known in choices
    ]


def build_choices(filters: Mapping[str, Any]) -> list[Control]:
    """Return the other filters of which several values may be chosen; garments are those of the chosen groups."""
    names = [name for group, names in GARMENTS_OF_GROUPS if group in filters.get("group", GROUPS) for name in names]
    garments = list(dict.fromkeys([*names, *filters.get("garment", ())]))
    choices = (
        ("Garment", "garment", [(name, name) for name in garments]),
        ("Why it waits", "reason", ProductLabel.Reason.choices),
        ("Stands on", "evidence", ProductLabel.Evidence.choices),
    )
    return [
        Control(title, name, [(value, words, value in filters.get(name, ())) for value, words in options])
        for title, name, options in choices
    ]


def build_selects(parameters: QueryDict) -> list[Control]:
    """Return the filters of which one value may be chosen."""
    version = parameters.get("model_version", "")
    versions = dict.fromkeys([*list_labelling_versions(), *filter(None, [version])])
    source = parameters.get("source")
    return [
        Control("Confidence", "min_confidence", list_confidences(parameters, "min_confidence", words="{} and more")),
        Control(
            "Confidence below", "confidence_below", list_confidences(parameters, "confidence_below", words="Below {}")
        ),
        Control("Garment is", "garment_unsure", [("true", "Not sure", parameters.get("garment_unsure") == "true")]),
        Control(
            "Label from", "source", [(value, f"A {value}", value == source) for value in ProductLabel.Source.values]
        ),
        Control("Model version", "model_version", [(name, name, name == version) for name in versions]),
    ]


def build_order(parameters: QueryDict) -> Control:
    """Return the control of the list's order."""
    orders = (("id", "Oldest first"), ("confidence", "Least sure first"), ("-confidence", "Most sure first"))
    chosen = parameters.get("ordering")
    return Control("Order", "ordering", [(value, words, value == chosen) for value, words in orders], "Newest first")


def list_confidences(parameters: QueryDict, name: str, *, words: str) -> list[tuple[str, str, bool]]:
    """Return the confidences to choose from, the address's among them; `words` say what is kept."""
    value = -1.0
    with suppress(ValueError):
        value = float(parameters.get(name, ""))
    values = sorted({*CONFIDENCES, value} if 0 <= value <= 1 else CONFIDENCES)
    return [(f"{known:g}", words.format(f"{100 * known:g} %"), known == value) for known in values]
