"""The report on evaluations of labelled catalogues, made from the stored documents and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from classifier.ml.judging.catalogues import ANSWERED_SHARES, LOST_SHARE, NONE_SHARE
from classifier.ml.labels import GROUPS
from classifier.ml.reports.sections import Block, Section, build_table
from classifier.ml.words import percent, write_share

Document = Mapping[str, Any]

#: Each way of deciding by its name in the documents.
WAYS: Final = {"pictures": "Pictures alone", "titles": "With titles"}


def build_sections(documents: Sequence[Document]) -> list[Section]:
    """A section for each evaluation, in their order."""
    return [_describe(document, number=number) for number, document in enumerate(documents, start=1)]


def list_figures(ways: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each figure: its name, and its value by each way, with its interval."""
    named = [
        ("Balanced accuracy over groups", ("balanced_accuracy",)),
        ("Accuracy over groups", ("accuracy",)),
        *((f"{group}: recall", ("recall", group)) for group in GROUPS),
        ("Garments answered", ("answered",)),
        ("Right of the answered", ("accuracy_of_answered",)),
        *(
            (f"Right of the surest {percent(share, digits=0)}", ("accuracy_of_surest", str(share)))
            for share in ANSWERED_SHARES
        ),
        ("Garments said to be none of these", ("said_none",)),
        ("None of these, answered", ("none_answered",)),
        (
            f"The same while {percent(NONE_SHARE, digits=0)} of the garments are answered",
            ("none_answered_at", str(NONE_SHARE)),
        ),
        (f"None of these, missed while {percent(LOST_SHARE, digits=0)} of garments are taken for it", ("none_missed",)),
    ]
    return [(title, *(write_share(_find(figures, keys)) for figures in ways.values())) for title, keys in named]


def write_wrong_titles(document: Document) -> str:
    """What wrong titles do, as a sentence with a space behind it; empty where it was not measured."""
    found = document.get("wrong_titles")
    if not found:
        return ""
    return (
        f"Of garments with the title of another group ({found['turns']:,} turns) {percent(found['wrong'])} surely get "
        f"the label of another group and {percent(found['none'])} are said to be none of these. "
    )


def _find(figures: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any] | None:
    """The share of that name; None in a document from before it was measured."""
    found: Any = figures
    for key in keys:
        found = found.get(key, {})
    return found or None


def _describe(document: Document, *, number: int) -> Section:
    ways = document["ways"]
    figures = next(iter(ways.values()))
    split = f", split {document['split']}" if document["split"] else ""
    left_out = f" {document['unreadable']:,} pictures could not be read and are left out." * bool(
        document["unreadable"]
    )
    return {
        "id": f"evaluation-{number}",
        "title": f"{document['catalogue']}{split}",
        "text": [
            f"Version {document['model_version']} on {figures['garments']:,} garments and {figures['none']:,} things "
            f"that are none of the five groups, measured {document['created_at'][:10]}.{left_out}",
            "Accuracy and recall count the group that was said, surely or not; balanced is the mean of the groups' "
            f"recalls. {write_wrong_titles(document)}A dash stands where there were fewer than 30.",
        ],
        "blocks": [
            {
                "title": "How good",
                "table": build_table(
                    "Shares with their 95 % intervals", ("Figure", *(WAYS[way] for way in ways)), list_figures(ways)
                ),
            },
            *(block for way, figures in ways.items() for block in _describe_way(WAYS[way], figures)),
        ],
    }


def _describe_way(way: str, figures: Mapping[str, Any]) -> list[Block]:
    """What was said of each group, and on what the answers stand."""
    confusion = figures["confusion"]
    rows = [
        (true, *(f"{count:,}" for count in row))
        for true, row in zip(confusion["true"], confusion["counts"], strict=True)
    ]
    stands = [
        (
            evidence,
            f"{row['garments']:,}",
            *(write_share(row[name]) for name in ("answered", "accuracy_of_answered", "none_answered")),
        )
        for evidence, row in figures["evidence"].items()
    ]
    columns = ("Evidence", "Garments", "Answered", "Right of these", "None of these, answered")
    return [
        {
            "title": f"{way}: what was said",
            "table": build_table("Products; rows are true, columns what was said", ("", *confusion["said"]), rows),
        },
        {
            "title": f"{way}: on what labels stand",
            "table": build_table("Shares with their 95 % intervals", columns, stands),
        },
    ]
