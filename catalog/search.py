"""Text search: products whose title or descriptions contain every word of a search, parts of words included."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.db.models.sql.compiler import SQLCompiler

from catalog.models import Product, ProductDescription
from catalog.paging import find_first_rows

#: How many products of a list are looked at one by one before the index is asked. Of 1,000,000 products that took 20
#: ms, and it fills a page of 50 for every search that one product in 80 meets.
WINDOW: Final = 2_000
#: Up to so many different words that contain what is searched for, the index of words is asked; what stands in more of
#: them ("e") is compared with the words of each product that meets everything else.
MAXIMUM_WORDS: Final = 10_000
#: Up to so many products that the index finds, the rest of the query begins with them; more are met on the way.
MAXIMUM_FOUND: Final = 30_000
#: PostgreSQL compares each product found with every word of one index condition: many short ones are faster.
_WORDS_A_CONDITION: Final = 50

_LIKE_ESCAPES: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
_LEXEME_ESCAPES: Final = str.maketrans({"\\": r"\\", "'": "''"})
_MATCHING_WORDS: Final = """
    (SELECT CASE WHEN count(*) <= %s THEN coalesce(array_agg(word), '{}') END
     FROM (SELECT word FROM catalog_searchword WHERE word LIKE lower(%s) LIMIT %s) AS found)"""


@dataclass(frozen=True)
class TextSearch:
    """A search for products that contain each of its words, without case, in the title or in a description.

    PostgreSQL answers from an index of words (`catalog.search_index`): the few words that contain what is searched for
    are looked up first, then the products that have them. Other databases read every product.
    """

    text: str = ""

    @cached_property
    def words(self) -> list[str]:
        """The words to find, each once, in their order."""
        return list(dict.fromkeys(self.text.split()))

    def find(self, products: QuerySet[Product]) -> QuerySet[Product]:
        """Keep the products that meet the search, all of them; on PostgreSQL at the cost of two queries at once."""
        if not self.words:
            return products
        if connection.vendor != "postgresql":
            return _keep_by_reading(products, words=self.words)
        known_words = _find_known_words(self.words)
        if [] in known_words:
            return products.none()
        frequent = [word for word, known in zip(self.words, known_words, strict=True) if known is None]
        terms = ["\n".join(_build_word_queries(known)) for known in known_words if known is not None]
        return _keep_by_looking(_keep_by_index(products, terms=terms), words=frequent)

    def find_first(self, products: QuerySet[Product], *, count: int) -> list[Product]:
        """Return the first `count` of the ordered products that meet the search.

        One query where many products meet it, who are found at the beginning of the list; on PostgreSQL three more
        where the index has to be asked.
        """
        if not self.words or connection.vendor != "postgresql":
            return find_first_rows(self.find(products), count=count)
        window = products.values("pk")[:WINDOW]
        rows = list(_keep_by_looking(products.filter(pk__in=window), words=self.words)[:count])
        return rows if len(rows) == count else list(self.find(products)[:count])


def _find_known_words(words: list[str]) -> list[list[str] | None]:
    """Return for each word the words of the catalogue that contain it; None where they are too many. One query."""
    parameters: list[Any] = []
    for word in words:
        parameters += [MAXIMUM_WORDS, f"%{word.translate(_LIKE_ESCAPES)}%", MAXIMUM_WORDS + 1]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join([_MATCHING_WORDS] * len(words))}", parameters)
        return list(cursor.fetchone())


def _build_word_queries(words: list[str]) -> list[str]:
    """Return full-text queries that together find whatever has one of the words."""
    lexemes = [f"'{word.translate(_LEXEME_ESCAPES)}'" for word in words]
    return [
        " | ".join(lexemes[start : start + _WORDS_A_CONDITION]) for start in range(0, len(lexemes), _WORDS_A_CONDITION)
    ]


def _keep_by_index(products: QuerySet[Product], *, terms: list[str]) -> QuerySet[Product]:
    """Keep the products that the index finds for all of the terms; at the cost of one query at once.

    PostgreSQL is told what was found, or made to ask the index once: it would guess how many products there are, and
    knows nothing of words that never stand together, or only at the far end of a list.
    """
    if not terms:
        return products
    with connection.cursor() as cursor:
        cursor.execute("SELECT catalog_find_products(%s, %s)", [terms, MAXIMUM_FOUND + 1])
        ids = [id for (id,) in cursor.fetchall()]
    if len(ids) <= MAXIMUM_FOUND:
        array = f"{{{','.join(map(str, ids))}}}"
        return products.filter(_Condition("product.id = ANY (%s::bigint[])", [array]))
    # Within CASE it is no join: it becomes a hash table in which each product is looked up.
    return products.filter(
        _Condition("CASE WHEN product.id IN (SELECT catalog_find_products(%s, NULL)) THEN true ELSE false END", [terms])
    )


def _keep_by_looking(products: QuerySet[Product], *, words: list[str]) -> QuerySet[Product]:
    """Keep the products that have all of the words, by looking at the document of each; PostgreSQL only."""
    if not words:
        return products
    matches = " AND ".join(["words::text LIKE lower(%s)"] * len(words))
    patterns = [f"%{word.translate(_LEXEME_ESCAPES).translate(_LIKE_ESCAPES)}%" for word in words]
    # A subquery that gives a value is evaluated for each product; PostgreSQL cannot turn it into a join.
    document = f"(SELECT {matches} FROM catalog_searchdocument WHERE product_id = product.id)"  # noqa: S608
    return products.filter(_Condition(document, patterns))


class _Condition(Func):
    """A condition on `product.id`, whatever the table is called where the statement has it: a subquery renames it.

    `id_field` names the column that stands for it: one of a joined table is there before the product is. What people
    typed stands in the parameters alone.
    """

    def __init__(self, sql: str, parameters: list[Any], *, id_field: str = "pk") -> None:
        super().__init__(F(id_field), output_field=BooleanField())
        self.sql, self.parameters = sql, parameters

    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *_: Any, **__: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the condition in the names of the statement, and its parameters."""
        column, _ = compiler.compile(self.source_expressions[0])
        return self.sql.replace("product.id", column), tuple(self.parameters)


def _keep_by_reading(products: QuerySet[Product], *, words: list[str]) -> QuerySet[Product]:
    """Keep the products that have all of the words, without an index."""
    for word in words:
        described = ProductDescription.objects.filter(
            Q(original_text__icontains=word) | Q(translated_text__icontains=word), product=OuterRef("pk")
        )
        products = products.filter(Q(title__icontains=word) | Exists(described))
    return products
