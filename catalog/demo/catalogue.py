"""The demo catalogue: some hundred products with pictures that need no download.

Apart from `rendering`, which other programs use without Django's models.
"""

from catalog.demo.rendering import render_demo_pictures
from catalog.demo.sample import CATALOGUE_FILE, SAMPLE_FOLDER
from catalog.interchange.importing import ImportReport, import_catalog
from catalog.interchange.reading import read_records


def load_demo_catalogue() -> ImportReport:
    """Render the demo's pictures into the media storage and import its products; again, nothing changes."""
    render_demo_pictures()
    with (SAMPLE_FOLDER / CATALOGUE_FILE).open("rb") as stream:
        return import_catalog(read_records(stream, format="jsonl"))
