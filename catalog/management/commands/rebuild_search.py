"""The command `rebuild_search`."""

from typing import Any

from django.db import connection

from catalog.search.index import build_search_index, remove_unused_words
from config.console import ReportingCommand


class Command(ReportingCommand):
    """Writes the word index anew, which PostgreSQL's triggers keep."""

    help = """\
Write the words of every product anew, create the indexes that are missing, and forget words that no product has any
more. Needed after rows were written with PostgreSQL's triggers off (a restore with
--disable-triggers, replication), and after the extension pg_trgm was created by hand. People may search and write
meanwhile.

  manage.py rebuild_search --json

SQLite has no such index: there is nothing to do. Exit status: 0 done, 1 failed, 2 bad usage."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Build the index and say what was done."""
        result = {"products": 0, "words_removed": 0}
        text = "This database is searched without an index; there is nothing to rebuild."
        if connection.vendor == "postgresql":
            result["products"] = build_search_index(connection)
            result["words_removed"] = remove_unused_words(connection)
            text = (
                f"Indexed the words of {result['products']:,} products; removed {result['words_removed']:,} words "
                "that none of them has."
            )
        self.answer(result, text, options)
