"""What reading a catalogue costs: the listing query, pages near and far, filters, searches, the grid."""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from benchmarks.catalogue_requests import Load, Visitor, percentile, send_at_rate
from benchmarks.catalogue_rows import (
    CAPPED_GROUP,
    COMMON_WORD,
    GROUP_SHARES,
    HIGHEST_CONFIDENCE,
    RARE_WORD,
    UNKNOWN_WORD,
)
from benchmarks.machine import BUSY, count_busy_cores

LIST: Final = "/api/v1/products/"
PAGE_SIZE: Final = 50
ORDERINGS: Final = ("id", "-id", "confidence", "-confidence")
#: The page that is compared with the first one, or the last one of a smaller catalogue.
FAR_PAGE: Final = 10_000

# As users write it themselves.
_LISTING_QUERY: Final = """
    SELECT p.Title,
           (SELECT i.Url FROM ProductImages pi JOIN Image i ON i.Id = pi.ImageId
             WHERE pi.ProductId = p.Id AND pi.ImageIndex = 0 ORDER BY pi.id LIMIT 1) AS image_url,
           (SELECT COALESCE(NULLIF(TRIM(d.TranslatedText), ''), d.OriginalText) FROM ProductDescription d
             WHERE d.ProductId = p.Id AND LOWER(d.CountryCode) = 'us' ORDER BY d.Id LIMIT 1) AS description
    FROM Product p ORDER BY p.Id"""
_ROWS_A_FETCH: Final = 10_000
#: Products whose features a process has read after a second, however slowly.
_LEAST_READ_A_SECOND: Final = 10_000


@dataclass(frozen=True, slots=True)
class QueryMeasurement:
    """Median seconds that all rows of the listing query took, written by hand and by the ORM."""

    rows: int
    sql_seconds: float
    orm_seconds: float

    @property
    def ratio(self) -> float:
        """The ORM's time against that of the SQL."""
        return self.orm_seconds / self.sql_seconds


def measure_listing_query(*, rounds: int, report: Callable[[str], None]) -> QueryMeasurement:
    """Read every row of the listing query both ways, in turn, through a server-side cursor each."""
    readers = {"sql": _read_by_sql, "orm": _read_by_orm}
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    counts = set()
    for number in range(rounds):
        report(f"the listing query, {number + 1} of {rounds}")
        # Whoever comes first in one round comes second in the next.
        for name in sorted(readers, reverse=bool(number % 2)):
            started = time.perf_counter()
            counts.add(readers[name]())
            seconds[name].append(time.perf_counter() - started)
    (rows,) = counts
    return QueryMeasurement(
        rows=rows, sql_seconds=statistics.median(seconds["sql"]), orm_seconds=statistics.median(seconds["orm"])
    )


def _read_by_sql() -> int:
    from django.db import connection, transaction

    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_LISTING_QUERY)
        return sum(len(rows) for rows in iter(lambda: cursor.fetchmany(_ROWS_A_FETCH), []))


def _read_by_orm() -> int:
    from catalog.models import Product

    rows = Product.objects.with_listing_fields("us").order_by("pk").values_list("title", "image_url", "description")
    return sum(1 for _ in rows.iterator(chunk_size=_ROWS_A_FETCH))


def measure_load(address: str, *, products: int, requests: int, per_second: float) -> Load:
    """Ask for pages of 50 products all over the catalogue at a steady rate."""
    starts = [number * 7919 * PAGE_SIZE % products for number in range(requests)]
    paths = [page_after(start) for start in starts]
    # Both processes have met their first requests then.
    send_at_rate(address, paths[:40], per_second=20)
    return send_at_rate(address, paths, per_second=per_second)


def measure_far_page(address: str, *, products: int, rounds: int) -> tuple[int, float, float]:
    """Return the far page's number, and the median seconds of the first page and of that one, asked for in turn."""
    number = max(2, min(FAR_PAGE, products // PAGE_SIZE))
    far = page_after((number - 1) * PAGE_SIZE)
    seconds: dict[str, list[float]] = {LIST: [], far: []}
    with Visitor(address) as visitor:
        for path in [LIST, far] * min(10, rounds):
            visitor.get(path)
        for path in [LIST, far] * rounds:
            seconds[path].append(visitor.get(path)[0])
    return number, statistics.median(seconds[LIST]), statistics.median(seconds[far])


def page_after(product_id: int, *, ordering: str = "id") -> str:
    """Return the path of the API's page after this product, the first one for 0; products are numbered from 1."""
    from catalog.browse.filters import PRODUCT_ORDERINGS
    from catalog.models import Product
    from config.db.paging import get_page

    if not product_id:
        return LIST
    one = Product.objects.filter(pk__gte=product_id, pk__lte=product_id + 1)
    cursor = get_page(one, ordering=PRODUCT_ORDERINGS[ordering], page_size=1).next_cursor
    return f"{LIST}?{urlencode({'cursor': cursor, 'ordering': ordering})}"


@dataclass(frozen=True, slots=True)
class CaseMeasurement:
    """Seconds of each request of some kind, the slowest request of all, and how many the site gave up with a 503."""

    seconds: list[float]
    slowest: str
    given_up: int = 0

    @property
    def p95(self) -> float:
        """The 95th percentile, in seconds."""
        return percentile(self.seconds, 0.95)


def measure_cases(address: str, paths: Sequence[str], *, pages: int = 2) -> CaseMeasurement:
    """Ask for each of the API's lists once, and for the pages that follow, none of which was asked for before."""
    seconds: list[tuple[float, str]] = []
    given_up = 0
    with Visitor(address) as visitor:
        for _ in range(min(10, len(paths))):
            visitor.get(LIST)
        for path in paths:
            following: str | None = path
            for page in range(pages):
                if following is None:
                    break
                took, body = visitor.get(following)
                seconds.append((took, f"{path}, page {page + 1}"))
                given_up += not body
                document = json.loads(body) if body else None
                address_after = document.get("next") if isinstance(document, dict) else None
                following = "{0.path}?{0.query}".format(urlsplit(address_after)) if address_after else None
    return CaseMeasurement(seconds=[took for took, _ in seconds], slowest=max(seconds)[1], given_up=given_up)


def list_group_filters() -> list[str]:
    """Return lists filtered by group and confidence: common and rare groups, all and almost no confidences."""
    confidences = (None, 0.5, 0.9, HIGHEST_CONFIDENCE + 0.01, 0.99999)
    return [
        list_path(group=group, min_confidence=confidence, ordering=ordering)
        for group in GROUP_SHARES
        for confidence in confidences
        for ordering in ORDERINGS
    ]


def list_other_filters() -> list[str]:
    """Return lists filtered by status, garment and confidence, alone and together with a group."""
    statuses = ("labelled", "needs_review", "reviewed", "failed", "pending", "no_image")
    filters: list[dict[str, Any]] = [
        *({"status": status} for status in statuses),
        *({"status": status, "group": group} for status in statuses[:3] for group in ("Upper part", CAPPED_GROUP)),
        *({"garment": garment} for garment in ("T-shirt/top", "Bag")),
        {"garment": "Trouser", "min_confidence": HIGHEST_CONFIDENCE + 0.01},
        {"garment": "Coat", "group": "Upper part", "status": "labelled", "min_confidence": 0.9},
        {"status": "needs_review", "min_confidence": 0.59},
        {"min_confidence": 0.999999},
    ]
    return [list_path(ordering=ordering, **chosen) for chosen in filters for ordering in ORDERINGS]


def list_searches(*, products: int, digits: int = 7) -> list[str]:
    """Return text searches: common and rare words, several, a part of one, one that is nowhere, with filters too.

    Titles have the number of their product with so many `digits`.
    """
    searches = (
        COMMON_WORD,
        RARE_WORD,
        UNKNOWN_WORD,
        f"{COMMON_WORD} {RARE_WORD}",
        f"{COMMON_WORD} shirt navy",
        f"{COMMON_WORD} {UNKNOWN_WORD}",
        f"{products // 2:0{digits}d}",
        RARE_WORD[1:5],
        "poches",
    )
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"group": "Footwear", "min_confidence": 0.9},
        {"group": "Bags"},
        {"status": "pending"},
        {"status": "no_image"},
    )
    return [
        list_path(search=search, ordering=ordering, **chosen)
        for search in searches
        for chosen in filters
        for ordering in ("id", "-id", "-confidence")
    ]


def read_features(address: str, *, products: int) -> float:
    """Let each process of the site read what *find similar* compares; return the seconds until all have.

    Each is asked for the first time, and reads most of it beside its answers. Of a machine with nothing else to do.
    """
    path = list_similar_products(products=products, count=1)[0]
    started = time.perf_counter()
    with ExitStack() as stack:
        # Each connection stays with the process that took it: all of them get some.
        for _ in range(16):
            stack.enter_context(Visitor(address)).get(path)
        most = 2 + products / _LEAST_READ_A_SECOND
        while (seconds := time.perf_counter() - started) < most and count_busy_cores() > BUSY:
            pass
    return seconds


def list_similar_products(*, products: int, count: int) -> list[str]:
    """Return the lists of what is similar to products all over the catalogue."""
    return [f"{LIST}{1 + number * 7919 * PAGE_SIZE % products}/similar/" for number in range(count)]


def measure_grid(address: str, *, products: int, count: int) -> CaseMeasurement:
    """Ask for pages of the product grid: the first, others all over the catalogue, and filtered ones."""
    seconds = []
    with Visitor(address) as visitor:
        for _ in range(min(10, count)):
            visitor.get("/products/")
        for path in _list_grid_pages(products=products, count=count):
            seconds.append((visitor.get(path)[0], path))
    return CaseMeasurement(seconds=[took for took, _ in seconds], slowest=max(seconds)[1])


def _list_grid_pages(*, products: int, count: int) -> Iterator[str]:
    groups = list(GROUP_SHARES)
    for number in range(count):
        start = max(1, number * 7919 * PAGE_SIZE % products)
        yield page_after(start, ordering="-id").replace(LIST, "/products/")
        yield f"/products/?{urlencode({'group': groups[number % 5], 'ordering': ORDERINGS[number % 4]})}"


def count_queries(paths: Sequence[str]) -> dict[str, int]:
    """Return how many queries the site makes for each of the pages."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="127.0.0.1")
    counts = {}
    for path in paths:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        if answer.status_code != 200:
            raise RuntimeError(f"expected 200 for {path}, received {answer.status_code}")
        counts[path] = len(queries)
    return counts


def list_path(**parameters: Any) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"{LIST}?{urlencode(given)}"
