"""The word index of titles and descriptions: PostgreSQL only, its rows kept by triggers, built and rebuilt from here.

An import brings the words of its new products itself (`adding_words`).

`catalog_searchdocument` has the words of each product as `catalog.search.folding` leaves them. Its GIN index has them
and the *part* of the catalogue that the product belongs to, which neighbouring ids share, so that words can be looked
for in one part alone.
`catalog_searchword` has every word once or, when two transactions brought it at the same time, more often, with a
trigram index for parts of words. No model stands for them: nothing but the database's functions writes there.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from django.db import DatabaseError, connection, transaction

from catalog.search.folding import fold

logger = logging.getLogger(__name__)

#: A part has 2 to the power of so many ids, 16,384. The functions of the database and the index have the number too.
PART_BITS: Final = 14
#: Products whose words are written in one transaction; whoever writes the same ones waits for a second or two.
BATCH_PRODUCTS: Final = 5_000
#: Longer texts and words are left to the database's function, which cuts what a document does not hold.
_DOCUMENT_CHARACTERS: Final = 200_000
_WORD_CHARACTERS: Final = 500

_INDEXES: Final = {
    "catalog_searchdocument_parts": f"catalog_searchdocument USING gin (words, (ARRAY[product_id >> {PART_BITS}]))",
    "catalog_searchword_trigrams": "catalog_searchword USING gin (word gin_trgm_ops)",
}
#: Words that are removed in one transaction, while nobody else writes any; no condition holds more than 1 MB of them.
_BATCH_WORDS: Final = 250
_FIND_UNUSED: Final = """
    SELECT word FROM catalog_searchword GROUP BY word
    HAVING count(*) > 1 OR word NOT IN (SELECT DISTINCT lexeme FROM catalog_searchdocument CROSS JOIN unnest(words))"""
# One condition for all of them: the index may have a list of what is new in it, which each condition reads.
_REMOVE_UNUSED: Final = """
    DELETE FROM catalog_searchword WHERE ctid IN (
        SELECT ctid FROM (
            SELECT ctid, word, row_number() OVER (PARTITION BY word ORDER BY ctid) AS place
            FROM catalog_searchword WHERE word = ANY(%(words)s)
        ) AS numbered
        WHERE place > 1 OR word NOT IN (
            SELECT lexeme FROM catalog_searchdocument CROSS JOIN unnest(words) WHERE words @@ %(any)s::tsquery
        )
    )"""
_LOCK_NOT_AVAILABLE: Final = "55P03"
_MOST_TRIES: Final = 30
#: Signs of a word between the quotes of a text search's condition.
LEXEME_ESCAPES: Final = str.maketrans({"\\": r"\\", "'": "''"})


@contextmanager
def adding_words(texts: Mapping[int, str]) -> Iterator[set[int]]:
    """Let the block insert new products with their descriptions, in one transaction, without a call of the triggers.

    `texts` has what the block writes for each product, by its id. To fold it here takes a third of what it takes there.
    Of a product that somebody else inserts meanwhile the words are read from the tables, as the triggers read them. The
    set that is given has the products, after the block without those.
    """
    new = set(texts)
    if not texts or connection.vendor != "postgresql":
        yield new
        return
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL catalog.adds_words = 'on'")
        yield new
        cursor.execute("SET LOCAL catalog.adds_words = 'off'")
        words = {id: _list_words(text) for id, text in texts.items()}
        cursor.execute(
            "SELECT catalog_add_search(%s, %s, %s)",
            [
                list(words),
                [None if of is None else " ".join(of) for of in words.values()],
                sorted(set().union(*(of for of in words.values() if of is not None))),
            ],
        )
        new.difference_update(cursor.fetchone()[0])


def _list_words(text: str) -> set[str] | None:
    """Return the words of a document, or None if it may be too long for one."""
    folded = fold(text)
    # What Python calls a space and PostgreSQL does not separates the words of a search, so no search tells the two.
    words = set(folded.split())
    fits = max(len(text), len(folded)) <= _DOCUMENT_CHARACTERS and max(map(len, words), default=0) <= _WORD_CHARACTERS
    return words if fits else None


def build_search_index(connection: Any) -> int:
    """Write the words of every product and create what indexes are missing; return the number of products.

    For the tables of a database that existed before, and for repair: rows that something wrote past the triggers are
    found again. Each batch is a transaction; nobody has to wait but writers of the same products. Call it outside a
    transaction.
    """
    products, after = 0, 0
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT array_agg(id) FROM (SELECT id FROM product WHERE id > %s ORDER BY id LIMIT %s) AS batch",
                [after, BATCH_PRODUCTS],
            )
            (ids,) = cursor.fetchone()
            if not ids:
                break
            cursor.execute("SELECT catalog_refresh_search(%s)", [ids])
            products += len(ids)
            after = ids[-1]
        # Rows of products that are gone.
        cursor.execute(
            "DELETE FROM catalog_searchdocument WHERE NOT EXISTS (SELECT FROM product WHERE id = product_id)"
        )
    create_search_indexes(connection)
    return products


def create_search_indexes(connection: Any) -> None:
    """Create what indexes are missing, while others read and write. Call it outside a transaction."""
    with connection.cursor() as cursor:
        has_trigrams = _create_trigram_extension(cursor)
        for name, definition in _INDEXES.items():
            if has_trigrams or "trgm" not in definition:
                _create_index(cursor, name=name, definition=definition)
        cursor.execute("ANALYZE catalog_searchdocument, catalog_searchword")


def remove_unused_words(connection: Any) -> int:
    """Remove words that no product has any more, and repeated ones; return how many. Call it outside a transaction.

    Whoever writes a product with a word that stands there relies on it. So each transaction waits until nobody is
    writing, and looks again; those who come meanwhile wait for it, a moment.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FIND_UNUSED)
        unused = [word for (word,) in cursor.fetchall()]
    batches = (unused[start : start + _BATCH_WORDS] for start in range(0, len(unused), _BATCH_WORDS))
    return sum(_remove_words(connection, words) for words in batches)


def _remove_words(connection: Any, words: list[str]) -> int:
    lexemes = [f"'{word.translate(LEXEME_ESCAPES)}'" for word in words]
    for _ in range(_MOST_TRIES):
        try:
            with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
                # Behind whoever waits for a lock on a table others wait too. Autovacuum gives way after a second.
                cursor.execute("SET LOCAL lock_timeout = '2s'")
                cursor.execute("LOCK TABLE catalog_searchword IN SHARE ROW EXCLUSIVE MODE")
                cursor.execute(_REMOVE_UNUSED, {"words": words, "any": " | ".join(lexemes)})
                return int(cursor.rowcount)
        except DatabaseError as error:
            if getattr(error.__cause__, "pgcode", None) != _LOCK_NOT_AVAILABLE:
                raise
            logger.info("unused words wait for those who write products")
            time.sleep(2)
    logger.warning("%s unused words stay: somebody always wrote products. Call rebuild_search again later", len(words))
    return 0


def _create_index(cursor: Any, *, name: str, definition: str) -> None:
    """Create the index if it is missing, or unfinished because its creation was interrupted; outside a transaction."""
    cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    if found == (True,):
        return
    if found is not None:
        cursor.execute(f"DROP INDEX CONCURRENTLY {name}")
    cursor.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")


def _create_trigram_extension(cursor: Any) -> bool:
    """Return whether pg_trgm is there, or could be created; search works without it, and is slower for rare words."""
    cursor.execute("SELECT FROM pg_extension WHERE extname = 'pg_trgm'")
    if cursor.fetchone() is not None:
        return True
    try:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as error:
        logger.warning(
            "PostgreSQL's extension pg_trgm cannot be created here: %s. Text search reads the list of all words "
            "instead. To change that, run CREATE EXTENSION pg_trgm as a superuser, then: manage.py rebuild_search",
            str(error).strip(),
        )
        return False
    return True
