"""Text search: products whose title or descriptions contain every word of a search, parts of words included."""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, BooleanField, Exists, F, Func, OuterRef, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.sql.compiler import SQLCompiler

from catalog.models import Product, ProductDescription
from catalog.search.folding import fold
from catalog.search.index import LEXEME_ESCAPES, PART_BITS
from config.db.paging import BY_NOTHING, Walk, find_first_rows

#: How many products of a list are looked at one by one before the index is asked. Of 1,000,000 products that took 20
#: ms, and it fills a page of 50 for every search that one product in 80 meets.
WINDOW: Final = 2_000
#: Up to so many different words that contain what is searched for, the index of words is asked; what stands in more of
#: them ("e") is compared with the words of each product that meets everything else.
MAXIMUM_WORDS: Final = 10_000
#: Up to so many products that the index finds, the rest of the query begins with them; more are met on the way.
MAXIMUM_FOUND: Final = 30_000
#: If the index finds more, a list by ids goes through its parts (`catalog.search.index`) one by one, and ends when a
#: page is full. Up to so many parts, which 8,000,000 products fill that were numbered without gaps, and with up to so
#: many words, each of which is looked up in every part; finding all products at once is less work beyond.
MAXIMUM_FOUND_BEFORE_PARTS: Final = 5_000
MAXIMUM_PARTS: Final = 512
MAXIMUM_WORDS_BY_PARTS: Final = 200
#: PostgreSQL compares each product found with every word of one index condition: many short ones are faster.
_WORDS_A_CONDITION: Final = 50

_LIKE_ESCAPES: Final = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
#: What may be a product's id: no bigint has more digits but a few, which nobody reaches.
_ID: Final = re.compile(r"[1-9][0-9]{0,17}")
_MATCHING_WORDS: Final = """
    (SELECT CASE WHEN count(*) <= %s THEN coalesce(array_agg(word), '{}') END
     FROM (SELECT word FROM catalog_searchword WHERE word LIKE %s LIMIT %s) AS found)"""

#: Behind what finds products by their words.
_NAMED: Final = " UNION ALL SELECT unnest(%s::bigint[])"
_PARTS: Final = [
    f"(SELECT {end}(product_id) >> {PART_BITS} FROM catalog_searchdocument)"  # noqa: S608
    for end in ("min", "max")
]


@dataclass(frozen=True)
class TextSearch:
    """A search for products that contain each of its words in the title or in a description, or have it as their id.

    Words are compared as `catalog.search.folding` leaves them. PostgreSQL answers from an index of words
    (`catalog.search.index`): the few words that contain what is searched for are looked up first, then the products
    that have them. Other databases read every product.
    """

    text: str = ""

    @cached_property
    def words(self) -> list[str]:
        """The words to find, folded, each once, in their order."""
        return list(dict.fromkeys(fold(self.text).split()))

    def find(self, products: QuerySet[Product]) -> QuerySet[Product]:
        """Keep the products that meet the search, all of them; on PostgreSQL at the cost of two queries at once."""
        if not self.words:
            return products
        if connection.vendor != "postgresql":
            return _keep_by_reading(products, words=self.words)
        return self._keep_known(products, known=_look_up_words(self.words))

    def find_first(self, products: QuerySet[Product], *, count: int, walk: Walk = BY_NOTHING) -> list[Product]:
        """Return the first `count` of the ordered products that meet the search; `walk` says how they are ordered.

        One query where many products meet it, who are found at the beginning of the list; on PostgreSQL another one
        where that beginning is all there is, and three where the index has to be asked.
        """
        if not self.words or connection.vendor != "postgresql":
            return find_first_rows(self.find(products), count=count)
        window = products.values("pk")[:WINDOW]
        rows = list(_keep_by_looking(products.filter(pk__in=window), words=self.words)[:count])
        if len(rows) == count:
            return rows
        known = _look_up_words(self.words, listed=products.values("pk"))
        if known.ends_in_window:
            return rows
        if walk.by_id:
            # Of a list that begins late nothing before it has to be passed. Not from behind the window on: rows may
            # have left the list since that was read, and others have come nearer that nobody looked at.
            walk = replace(walk, start=known.first)
        found = self._keep_known(products, known=known, walk=walk, count=count)
        # Chosen before anything is joined to them, and by columns that an index has.
        others = products.filter(pk__in=found.values("pk")[:count])
        seen = {row.pk for row in rows}
        return [*rows, *(row for row in others if row.pk not in seen)][:count]

    def _keep_known(
        self, products: QuerySet[Product], *, known: "_KnownWords", walk: Walk = BY_NOTHING, count: int | None = None
    ) -> QuerySet[Product]:
        """Keep the products that have all of the words, or the first `count` of them in the order of the walk.

        PostgreSQL is told which they are, or made to ask the index by itself: it would guess how many there are, and
        knows nothing of words that never stand together, or only at the far end of a list.
        """
        id_field = walk.id_field
        if [] in known.words:
            return _keep_ids(products, known.named, id_field=id_field)
        terms = known.get_terms()
        products = _keep_by_looking(products, words=known.get_frequent(self.words), id_field=id_field)
        if not terms:
            return products
        by_parts = count is not None and walk.by_id and known.fits_parts
        ids = _find_ids(terms, maximum=MAXIMUM_FOUND_BEFORE_PARTS if by_parts else MAXIMUM_FOUND)
        if ids is not None:
            # PostgreSQL would look up those before the start one after the other, to find that the list has none.
            return _keep_ids(products, [id for id in [*ids, *known.named] if walk.reaches(id)], id_field=id_field)
        if by_parts and count is not None:
            return _keep_by_parts(products, known=known, count=count, walk=walk)
        # Within CASE it is no join: it becomes a hash table in which each product is looked up.
        found = f"CASE WHEN product.id IN (SELECT catalog_find_products(%s, NULL){_NAMED}) THEN true ELSE false END"
        return products.filter(_Condition(found, [terms, known.named], id_field=id_field))


@dataclass(frozen=True, slots=True)
class _KnownWords:
    """For each word of a search those of the catalogue that contain it, None where they are too many.

    `named` are the products that meet the search by their ids. `first` is the first one of a list, `ends_in_window`
    whether all of it was looked at; `parts` are the first and the last part with products.
    """

    words: list[list[str] | None]
    named: list[int]
    first: int | None
    ends_in_window: bool
    parts: range

    @property
    def fits_parts(self) -> bool:
        """Whether the search may go through the index part by part."""
        count = sum(len(words) for words in self.words if words is not None)
        return len(self.parts) <= MAXIMUM_PARTS and count <= MAXIMUM_WORDS_BY_PARTS

    def get_frequent(self, words: list[str]) -> list[str]:
        """Return those of the search's words that too many words contain."""
        return [word for word, known in zip(words, self.words, strict=True) if known is None]

    def get_terms(self) -> list[str]:
        """Return for each of the other words full-text queries, one a line, that together find who has it."""
        return ["\n".join(_build_word_queries(known)) for known in self.words if known is not None]


def _look_up_words(words: list[str], *, listed: QuerySet[Any] | None = None) -> _KnownWords:
    """Return what the catalogue knows of the words, and where the list with these ids begins and ends; one query."""
    parameters: list[Any] = []
    for word in words:
        parameters += [MAXIMUM_WORDS, f"%{word.translate(_LIKE_ESCAPES)}%", MAXIMUM_WORDS + 1]
    named = "'{}'::bigint[]"
    if ids := _list_ids(words):
        matches, patterns = _match_documents(words)
        # The ids are in there twice: as the rows to look at, and in place of the words that they are.
        named = f"ARRAY(SELECT product_id FROM catalog_searchdocument WHERE product_id = ANY (%s) AND {matches})"  # noqa: S608
        parameters += [ids, *patterns]
    ends = ["NULL::bigint"] * 2
    if listed is not None:
        with suppress(EmptyResultSet):
            found = [rows.query.sql_with_params() for rows in (listed[:1], listed[WINDOW : WINDOW + 1])]
            ends = [f"({sql})" for sql, _ in found]
            parameters += [parameter for _, of_one in found for parameter in of_one]
    columns = [*[_MATCHING_WORDS] * len(words), named, *_PARTS, *ends]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(columns)}", parameters)
        *known, by_id, first_part, last_part, first, beyond = cursor.fetchone()
    parts = range(0) if first_part is None else range(first_part, last_part + 1)
    return _KnownWords(words=known, named=by_id, first=first, ends_in_window=beyond is None, parts=parts)


def _build_word_queries(words: list[str]) -> list[str]:
    """Return full-text queries that together find whatever has one of the words."""
    lexemes = [f"'{word.translate(LEXEME_ESCAPES)}'" for word in words]
    return [
        " | ".join(lexemes[start : start + _WORDS_A_CONDITION]) for start in range(0, len(lexemes), _WORDS_A_CONDITION)
    ]


def _find_ids(terms: list[str], *, maximum: int) -> list[int] | None:
    """Return the products that the index finds for all of the terms, or None if they are too many; one query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT catalog_find_products(%s, %s)", [terms, maximum + 1])
        ids = [id for (id,) in cursor.fetchall()]
    return ids if len(ids) <= maximum else None


def _keep_ids(products: QuerySet[Product], ids: list[int], *, id_field: str) -> QuerySet[Product]:
    """Keep the products with these ids."""
    if not ids:
        return products.none()
    array = f"{{{','.join(map(str, ids))}}}"
    return products.filter(_Condition("product.id = ANY (%s::bigint[])", [array], id_field=id_field))


def _keep_by_parts(products: QuerySet[Product], *, known: _KnownWords, count: int, walk: Walk) -> QuerySet[Product]:
    """Keep the first `count` of the ordered products that the index finds for all of the words, or that are named.

    The index is asked for one part after the other in the order of the list, until there are enough. A part without any
    costs next to nothing, and no part has many, so that no plan is a bad one.
    """
    parts = known.parts[::-1] if walk.descending else known.parts
    if walk.start is not None and parts:
        skipped = ((walk.start >> PART_BITS) - parts[0]) * parts.step
        parts = parts[max(0, skipped) :]
    if not parts:
        return products.none()
    found = f"product.id IN (SELECT catalog_find_products_of(%s, part.number){_NAMED})"
    inside = products.filter(_Condition(found, [known.get_terms(), known.named], id_field=walk.id_field))
    first = RawSQL(f"part.number << {PART_BITS}", [], output_field=BigIntegerField())  # noqa: S611
    behind = RawSQL(f"(part.number + 1) << {PART_BITS}", [], output_field=BigIntegerField())  # noqa: S611
    inside = inside.filter(**{f"{walk.id_field}__gte": first, f"{walk.id_field}__lt": behind})
    of_part, parameters = inside.values("pk")[:count].query.sql_with_params()
    # The statement is the queryset's own, with its parameters beside it.
    found = f"""
        SELECT found.id FROM generate_series(%s::bigint, %s::bigint, %s::bigint) AS part (number)
        CROSS JOIN LATERAL ({of_part}) AS found (id) LIMIT %s"""  # noqa: S608
    return products.filter(pk__in=RawSQL(found, [parts[0], parts[-1], parts.step, *parameters, count]))  # noqa: S611


def _keep_by_looking(products: QuerySet[Product], *, words: list[str], id_field: str = "pk") -> QuerySet[Product]:
    """Keep the products that have all of the words, by looking at the document of each; PostgreSQL only."""
    if not words:
        return products
    matches, patterns = _match_documents(words)
    # A subquery that gives a value is evaluated for each product; PostgreSQL cannot turn it into a join.
    document = f"(SELECT {matches} FROM catalog_searchdocument WHERE product_id = product.id)"  # noqa: S608
    return products.filter(_Condition(document, patterns, id_field=id_field))


def _match_documents(words: list[str]) -> tuple[str, list[Any]]:
    """Return the condition, and its parameters, that a document has each of the words, or its product has it as id."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for word in words:
        conditions.append("words::text LIKE %s")
        parameters.append(f"%{word.translate(LEXEME_ESCAPES).translate(_LIKE_ESCAPES)}%")
        if ids := _list_ids([word]):
            conditions[-1] = f"({conditions[-1]} OR product_id = ANY (%s))"
            parameters.append(ids)
    return " AND ".join(conditions), parameters


def _list_ids(words: list[str]) -> list[int]:
    """Return those of the words that may be ids."""
    return [int(word) for word in words if _ID.fullmatch(word)]


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
    products = products.alias(folded_title=_Folded("title"))
    descriptions = ProductDescription.objects.alias(
        original=_Folded(_Text("original_text")), translated=_Folded(_Text("translated_text"))
    )
    for word in words:
        described = descriptions.filter(
            Q(original__contains=word) | Q(translated__contains=word), product=OuterRef("pk")
        )
        products = products.filter(Q(folded_title__contains=word) | Exists(described) | Q(pk__in=_list_ids([word])))
    return products


class _Text(Func):
    """A column that may have HTML as a person reads it."""

    function = "catalog_text"
    output_field = TextField()


class _Folded(Func):
    """A text column as `catalog.search.folding` leaves it."""

    function = "catalog_fold"
    output_field = TextField()
