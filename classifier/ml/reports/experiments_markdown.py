"""The sections of the experiments as one Markdown document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from classifier.ml.reports.report_parts import Section

_HEAD: Final = """\
# Experiments

Written by `manage.py report_experiments` from the records in `{folder}/`; the site shows the same under Experiments."""
_EMPTY: Final = "There is no record yet: `manage.py report_experiments ARTEFACT_DIR` measures an artefact."


def write_markdown(sections: Sequence[Section], *, folder: str) -> str:
    """The document; plots and sheets are linked as files in ``folder``, relative to it. Same sections, same text."""
    blocks = [_HEAD.format(folder=folder)]
    if not sections:
        blocks.append(_EMPTY)
    for section in sections:
        blocks += [f"## {section['title']}", *section["text"]]
        if "command" in section:
            blocks.append(f"    {section['command']}")
        for part in section["parts"]:
            blocks += _write_part(part, folder=folder)
    return "\n\n".join(blocks) + "\n"


def _write_part(part: Mapping[str, Any], *, folder: str) -> list[str]:
    blocks = [f"### {part['title']}"] if part["title"] else []
    blocks += part.get("text", [])
    if plot := part.get("plot"):
        blocks.append(f"![{plot['text']}]({folder}/{plot['light']})")
    if table := part.get("table"):
        blocks += [f"{table['caption']}:", _write_table(table)]
    if gallery := part.get("gallery"):
        blocks += _write_gallery(gallery["items"], folder=folder)
    return blocks


def _write_table(table: Mapping[str, Any]) -> str:
    rules = ["---:" if column["numeric"] else "---" for column in table["columns"]]
    rows = [[column["title"] for column in table["columns"]], rules, *(map(_write_cell, row) for row in table["rows"])]
    return "\n".join(map(_write_row, rows))


def _write_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _write_cell(cell: Any) -> str:
    text, strong = (cell["text"], cell["strong"]) if isinstance(cell, Mapping) else (cell, False)
    escaped = str(text).replace("|", "\\|")
    return f"**{escaped}**" if strong else escaped


def _write_gallery(items: Sequence[Mapping[str, Any]], *, folder: str) -> list[str]:
    """Each sheet as it is, and its pictures by number, from left to right and from top to bottom."""
    sheets = dict.fromkeys(tile["sheet"] for item in items for tile in item["tiles"])
    rows = [
        (str(number), ", ".join(tile["text"] for tile in item["tiles"]), "; ".join(item["lines"]))
        for number, item in enumerate(items, start=1)
    ]
    if not rows:
        return ["None."]
    head = [("Number", "Picture", "Garment, said, group and confidence"), ("---:", "---", "---")]
    table = "\n".join(_write_row(map(_write_cell, row)) for row in (*head, *rows))
    return [*(f"![The pictures of the table below, row by row]({folder}/{name})" for name in sheets), table]
