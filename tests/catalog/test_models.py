"""The listing query of the catalogue equals the schema's SQL, row by row."""

import random

import pytest
from django.db import connection

from catalog.models import Image, Product, ProductDescription, ProductImages
from tests.support.factories import create_description, create_image, create_product, create_product_image

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

# On the schema's own names, as one would type it at the database's prompt.
LISTING_SQL = """
SELECT p.Title,
       (SELECT i.Url FROM ProductImages pi JOIN Image i ON i.Id = pi.ImageId
         WHERE pi.ProductId = p.Id AND pi.ImageIndex = 0 ORDER BY pi.id LIMIT 1) AS image_url,
       (SELECT COALESCE(NULLIF(TRIM(d.TranslatedText), ''), d.OriginalText) FROM ProductDescription d
         WHERE d.ProductId = p.Id AND LOWER(d.CountryCode) = 'us' ORDER BY d.Id LIMIT 1) AS description
FROM Product p ORDER BY p.Id
"""


def list_by_sql() -> list[tuple[str, str | None, str | None]]:
    with connection.cursor() as cursor:
        cursor.execute(LISTING_SQL)
        return cursor.fetchall()


def list_by_queryset(country: str = "us") -> list[tuple[str, str | None, str | None]]:
    products = Product.objects.with_listing_fields(country).order_by("pk")
    return list(products.values_list("title", "image_url", "description"))


def test_product_with_everything_has_first_image_and_translation():
    create_product("Shirt", images=["https://a.example/0", "https://a.example/1"], descriptions={"us": ("alt", "neu")})

    assert list_by_queryset() == list_by_sql() == [("Shirt", "https://a.example/0", "neu")]


def test_product_with_nothing_is_one_row_of_nulls():
    create_product("Bare")

    assert list_by_queryset() == list_by_sql() == [("Bare", None, None)]


def test_product_without_index_zero_has_no_image():
    product = create_product("Second only")
    create_product_image(product, image_index=1)

    assert list_by_queryset() == list_by_sql() == [("Second only", None, None)]


def test_lowest_image_index_is_not_taken_from_another_product():
    shared = create_image("https://a.example/shared")
    create_product("First", images=[shared])
    create_product("Second", images=[create_image("https://a.example/own"), shared])

    expected = [("First", "https://a.example/shared", None), ("Second", "https://a.example/own", None)]
    assert list_by_queryset() == list_by_sql() == expected


@pytest.mark.parametrize(
    "original_text, translated_text, expected",
    [
        ("original", "translated", "translated"),
        ("original", None, "original"),
        ("original", "", "original"),
        ("original", "   ", "original"),
        ("original", "  padded  ", "padded"),
        ("  padded  ", None, "  padded  "),
        (None, "translated", "translated"),
        (None, None, None),
        (None, "", None),
        ("", None, ""),
        ("", " ", ""),
        ("original", "\t", "\t"),
    ],
)
def test_description_is_translation_unless_blank(original_text, translated_text, expected):
    product = create_product("Text")
    create_description(product, original_text=original_text, translated_text=translated_text)

    assert list_by_queryset() == list_by_sql() == [("Text", None, expected)]


def test_country_is_compared_without_case():
    create_product("Upper", descriptions={"US": ("original", None)})
    create_product("Mixed", descriptions={"uS": (None, "translated")})
    create_product("Other", descriptions={"usa": ("no", "no"), "de": ("nein", "nein")})

    expected = [("Upper", None, "original"), ("Mixed", None, "translated"), ("Other", None, None)]
    assert list_by_queryset() == list_by_queryset("US") == list_by_sql() == expected


def test_lowest_id_wins_where_country_is_doubled():
    product = create_product("Doubled")
    create_description(product, country_code="US", original_text="first", translated_text=None)
    create_description(product, country_code="us", original_text="second", translated_text="second")

    assert list_by_queryset() == list_by_sql() == [("Doubled", None, "first")]


def test_doubled_country_whose_first_row_is_empty_stays_empty():
    product = create_product("Doubled")
    create_description(product, original_text=None, translated_text=None)
    create_description(product, original_text="second", translated_text="second")

    assert list_by_queryset() == list_by_sql() == [("Doubled", None, None)]


def test_listing_in_another_country_takes_its_texts():
    create_product("Hose", descriptions={"us": ("Hose", "Trousers"), "de": ("Die Hose", None)})

    assert list_by_queryset("de") == [("Hose", None, "Die Hose")]


def test_generated_products_equal_the_sql():
    generate_products(1_500, seed=7)

    by_sql = list_by_sql()

    assert len(by_sql) == 1_500
    assert 150 < sum(url is None for _, url, _ in by_sql) < 1_350
    assert 150 < sum(text is None for _, _, text in by_sql) < 1_350
    assert list_by_queryset() == by_sql


def test_listing_is_one_query_for_any_number_of_products(django_assert_num_queries):
    generate_products(50, seed=3)

    with django_assert_num_queries(1):
        titles = {
            (product.title, product.image_url, product.description) for product in Product.objects.with_listing_fields()
        }

    assert len(titles) == 50


def generate_products(count: int, *, seed: int) -> None:
    """Create products with random gaps: missing and shifted images, missing, doubled and blank texts."""
    stream = random.Random(seed)
    texts = [None, "", " ", "   ", "text", " text ", "Text mit Ü", "\t", "'quoted'"]
    products = Product.objects.bulk_create(Product(title=f"Product {number}") for number in range(count))
    images = Image.objects.bulk_create(Image(url=f"https://a.example/{number}") for number in range(200))
    ProductImages.objects.bulk_create(
        ProductImages(product=product, image=stream.choice(images), image_index=index)
        for product in products
        for index in range(4)
        if stream.random() < 0.5
    )
    ProductDescription.objects.bulk_create(
        ProductDescription(
            product=product,
            country_code=stream.choice(["us", "US", "Us", "de", "gb", "usa"]),
            original_text=stream.choice(texts),
            translated_text=stream.choice(texts),
        )
        for product in products
        for _ in range(stream.randrange(4))
    )
