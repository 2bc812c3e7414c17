"""What every report is made of, and its Markdown.

A section has ``id``, ``title``, ``text`` (paragraphs) and ``blocks``, and may have a ``command``. A block may have
``title``, ``text``, ``plot``, ``table`` and ``gallery``. All are plain JSON, decided when the report is built: a page
and the Markdown lay out the same.

plot      the names of its ``light`` and ``dark`` file, and ``text`` that says what it shows
table     ``caption``, ``columns``, ``rows`` and ``words``, the number of columns that hold no numbers; a cell is a
          text, a tile, or a text that stands out: ``{"text": ..., "strong": True}``
gallery   ``kind`` of layout, and ``entries`` with ``tiles`` and ``lines`` of text
tile      one picture out of many on a ``sheet``: ``x``, ``y`` and ``size`` in pixels, and ``text``
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.ml.words import write_table

Section = dict[str, Any]
Block = dict[str, Any]


class ReportFiles:
    """Collects the plots and the sheets of pictures that a report names.

    ``prefix`` begins every name, ``columns`` is the number of tiles side by side, ``scale`` enlarges their pixels.
    """

    def __init__(self, *, prefix: str = "", columns: int = 12, scale: int = 1) -> None:
        self.contents: dict[str, bytes] = {}
        self._prefix, self._columns, self._scale = prefix, columns, scale
        self._sheets: dict[str, list[NDArray[np.uint8]]] = {}

    def add_plot(self, name: str, documents: Mapping[str, bytes], *, text: str) -> dict[str, str]:
        """The plot of these documents by theme; ``text`` says in words what it shows."""
        names = {theme: f"{self._prefix}{name}-{theme}.svg" for theme in documents}
        self.contents |= {names[theme]: content for theme, content in documents.items()}
        return {**names, "text": text}

    def add_tile(self, sheet: str, picture: NDArray[np.uint8], *, text: str) -> dict[str, Any]:
        """The tile of a picture uint8[H, H] on the sheet of that name, where all have one size."""
        name, size = f"{self._prefix}{sheet}.png", self._scale * len(picture)
        tiles = self._sheets.setdefault(name, [])
        row, column = divmod(len(tiles), self._columns)
        tiles.append(picture.repeat(self._scale, axis=0).repeat(self._scale, axis=1))
        return {"sheet": name, "x": column * size, "y": row * size, "size": size, "text": text}

    def write_sheets(self) -> dict[str, dict[str, int]]:
        """Make the sheets files as well; the width and height of each in pixels by its name."""
        sizes = {}
        for name, tiles in self._sheets.items():
            columns, (height, width) = min(len(tiles), self._columns), tiles[0].shape
            rows = -(-len(tiles) // columns)
            places = np.zeros((rows * columns, height, width), dtype=np.uint8)
            places[: len(tiles)] = tiles
            whole = places.reshape(rows, columns, height, width).swapaxes(1, 2).reshape(rows * height, columns * width)
            target = io.BytesIO()
            Image.fromarray(whole).save(target, format="PNG", optimize=True)
            self.contents[name] = target.getvalue()
            sizes[name] = {"width": columns * width, "height": rows * height}
        return sizes


def build_section(name: str, title: str, text: Sequence[str], *blocks: Block) -> Section:
    """A section; ``name`` is its ``id``, which an address of the page may end with."""
    return {"id": name, "title": title, "text": list(text), "blocks": list(blocks)}


def build_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, words: int = 1
) -> dict[str, Any]:
    """A table whose first ``words`` columns hold words and the others numbers; each row's first cell is its head."""
    return {"caption": caption, "columns": list(columns), "rows": [list(row) for row in rows], "words": words}


def write_markdown(head: str, sections: Sequence[Section], *, folder: str) -> str:
    """The document, ``head`` first; its files are linked in ``folder``. The same sections give the same text."""
    blocks = [head]
    for section in sections:
        blocks += [f"## {section['title']}", *section["text"]]
        blocks += [f"    {section['command']}"] if "command" in section else []
        for block in section["blocks"]:
            blocks += [f"### {block['title']}"] if block.get("title") else []
            blocks += block.get("text", [])
            if plot := block.get("plot"):
                blocks.append(f"![{plot['text']}]({folder}/{plot['light']})")
            if table := block.get("table"):
                rows = [[_write_cell(cell) for cell in row] for row in table["rows"]]
                blocks += [f"{table['caption']}:", write_table(table["columns"], rows, words=table["words"])]
            if "gallery" in block:
                blocks += _write_gallery(block["gallery"]["entries"], folder=folder)
    return "\n\n".join(blocks) + "\n"


def _write_cell(cell: Any) -> str:
    if not isinstance(cell, Mapping):
        return str(cell)
    return f"**{cell['text']}**" if cell.get("strong") else str(cell["text"])


def _write_gallery(entries: Sequence[Mapping[str, Any]], *, folder: str) -> list[str]:
    """Each sheet as it is, and its pictures by number, from left to right and from top to bottom."""
    if not entries:
        return ["None."]
    sheets = dict.fromkeys(tile["sheet"] for entry in entries for tile in entry["tiles"])
    rows = [
        (str(number), ", ".join(tile["text"] for tile in entry["tiles"]), "; ".join(entry["lines"]))
        for number, entry in enumerate(entries, start=1)
    ]
    table = write_table(("Number", "Picture", "Garment, said, group and confidence"), rows)
    links = [f"![The pictures of the table below, row by row]({folder}/{name})" for name in sheets]
    return [*links, table]
