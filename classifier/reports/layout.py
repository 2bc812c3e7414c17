"""How the pages of stored reports lay out plots, tables and galleries, and how they answer with the pictures."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.http import HttpResponse

ONE_YEAR_SECONDS = 31_536_000
CONTENT_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
# Plots carry their colours in style attributes; nothing else in them may do anything.
PLOT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
# As much of a picture's hash as its address carries, so that a browser may keep it for ever.
HASH_LENGTH = 16


@dataclass(frozen=True, slots=True)
class PictureAddresses:
    """The pictures of one stored document: the address of each by its name, and the size of each sheet in pixels."""

    address: Callable[[str], str]
    sheets: Mapping[str, Mapping[str, int]]

    def place_plot(self, plot: dict[str, Any]) -> dict[str, Any]:
        """Return the plot with the addresses of its two files."""
        return plot | {"light": self.address(plot["light"]), "dark": self.address(plot["dark"])}

    def place_tile(self, cell: Any) -> Any:
        """Return a tile with the address of its sheet and the sheet's size, and any other cell as it is."""
        if not isinstance(cell, dict) or "sheet" not in cell:
            return cell
        return cell | {"url": self.address(cell["sheet"]), "sheet_size": self.sheets[cell["sheet"]]}

    def place_table(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return the table with rows of pairs: the column, and the cell."""
        rows = [
            [(column, self.place_tile(cell)) for column, cell in zip(table["columns"], row, strict=True)]
            for row in table["rows"]
        ]
        return table | {"rows": rows}

    def place_gallery(self, gallery: dict[str, Any]) -> dict[str, Any]:
        """Return the gallery with its items as `entries`, whose tiles have addresses."""
        entries = [item | {"tiles": [self.place_tile(tile) for tile in item["tiles"]]} for item in gallery["items"]]
        return gallery | {"entries": entries}


def answer_with_picture(path: Path) -> HttpResponse:
    """Answer with a verified picture, to be kept for ever under an address that holds its hash."""
    headers = {
        "Cache-Control": f"public, max-age={ONE_YEAR_SECONDS}, immutable",
        "Content-Security-Policy": PLOT_POLICY,
    }
    return HttpResponse(path.read_bytes(), content_type=CONTENT_TYPES[path.suffix], headers=headers)
