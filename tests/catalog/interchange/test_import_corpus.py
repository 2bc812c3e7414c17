"""Hostile and broken catalogue files: each costs its own rows, or is refused as a whole with nothing written."""

import gzip
import io
import json
import zipfile

import pytest

from catalog.interchange.text_source import MAX_LINE_CHARACTERS
from catalog.models import Image, Product
from tests.support.importing import Importer, counts, encode, is_empty, read_catalogue

HEADER = "id,title,image_urls,country_code,original_text,translated_text\n"
GOOD = ",Good,good.png,us,text,\n"

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def importer(tmp_path):
    return Importer(tmp_path)


@pytest.mark.parametrize(
    "bad_rows, message",
    [
        (",NUL\x00here,,,,\n", "received a NUL character"),
        (",T,a\x00.png,,,\n", "without control characters"),
        (b",\xc3\xa9 caf\xe9,,,,\n", r"expected UTF-8 text in title, received '\\udce9'"),
        (f",T,,us,{'x' * 131_073},\n", "expected at most 131,072 characters in original_text, received 131,073"),
        (f",T,,us,{'x' * 131_074},\n", "field larger than field limit (131073)"),
        (',"never closed,,,,\n', "cannot be read"),
        (',"closed" too early,,,,\n', "cannot be read"),
        (f",{'t' * 10_000_000},,,,\n", f"less than {MAX_LINE_CHARACTERS:,} characters"),
        (f",{'t' * 1_001},,,,\n", "expected at most 1,000 characters in title, received 1,001"),
        ("-5,T,,,,\n", "expected a whole number as id, received '-5'"),
        ("1e30,T,,,,\n", "received '1e30'"),
        ("٣,T,,,,\n", r"received '\\u0663'"),
        ("0,T,,,,\n", "received '0'"),
        ("9223372036854775807,T,,,,\n", "expected an id from 1 to"),
        (",T,,,\n", "expected 6 cells, received 5"),
        (",T,,,,,x\n", "expected 6 cells, received 7"),
        (";T;;;;\n", "expected 6 cells, received 1"),
        (",,a.png,us,text,\n", "expected a title, received none"),
        (",T,,u s,text,\n", "expected a country code of ISO 3166 such as 'us'"),
        (",T,../../x,,,\n", "expected a relative name inside the media storage"),
        (",T,ftp://a.example/x,,,\n", "expected an http(s) url"),
    ],
)
def test_bad_csv_row_is_refused_and_its_neighbours_imported(importer, bad_rows, message):
    document = importer.run(encode(HEADER + GOOD) + encode(bad_rows) + b",After,,,,\n", name="catalogue.csv")

    assert counts(document) == (2, 0, 0, 1)
    assert document["errors"][0]["line"] == 3
    assert message in json.dumps(document["errors"][0]["message"])
    assert [product["title"] for product in read_catalogue()] == ["Good", "After"]


@pytest.mark.parametrize(
    "bad_line, message",
    [
        ("[" * 100_000, "nested too deep"),
        ('{"title": "T", "images": ' + "[" * 500 + "]" * 500 + "}", "expected an image url, received a list of 1"),
        ('["title"]', "expected a JSON object, received a list of 1"),
        ("17", "expected a JSON object, received 17"),
        ('{"title": NaN}', "received the constant NaN"),
        ('{"title": "T"} {"title": "U"}', "Extra data"),
        ('{"title": "T", "title": "U"}', "received one twice"),
        ('{"title": "T", "price": 3}', "received 'price'"),
        ('{"title": 3}', "expected text in title, received 3"),
        ('{"title": "half \\ud800"}', r"expected UTF-8 text in title, received '\\ud800'"),
        ('{"title": "NUL \\u0000"}', "received a NUL character"),
        (b'{"title": "\xc3\xa9 caf\xe9"}', r"expected UTF-8 text in title, received '\\udce9'"),
        (json.dumps({"title": "x" * MAX_LINE_CHARACTERS}), f"less than {MAX_LINE_CHARACTERS:,} characters"),
        ('{"title": "T", "id": -5}', "expected an id from 1 to"),
        ('{"title": "T", "id": 1e30}', "expected a whole number as id, received 1e+30"),
        ('{"title": "T", "id": "3"}', "expected a whole number as id, received '3'"),
        ('{"title": "T", "id": true}', "expected a whole number as id, received True"),
        ('{"title": "T", "id": 1' + "0" * 5_000 + "}", "expected a JSON object"),
        ('{"title": "T", "id": 1' + "0" * 400 + "}", "expected an id from 1 to"),
        ('{"title": "T", "images": "a.png"}', "expected a list of images, received 'a.png'"),
        (json.dumps({"title": "T", "images": ["a.png"] * 1_001}), "expected at most 1,000 images, received 1,001"),
        ('{"title": "T", "descriptions": {"us": "x"}}', "expected a list of descriptions, received an object"),
        ('{"title": "T", "descriptions": ["x"]}', "expected a JSON object, received 'x'"),
        (
            '{"title": "T", "descriptions": [{"original_text": "x"}]}',
            "country code of ISO 3166 such as 'us', received None",
        ),
        ('{"title": "T", "descriptions": [{"country_code": "us", "text": "x"}]}', "received 'text'"),
        (
            '{"title": "T", "descriptions": [{"country_code": "us"}, {"country_code": "US"}]}',
            "expected every country once in a product, received us twice",
        ),
        (
            json.dumps({"title": "T", "descriptions": [{"country_code": "us", "original_text": "x" * 131_073}]}),
            "expected at most 131,072 characters in original_text, received 131,073",
        ),
    ],
)
def test_bad_json_line_is_refused_and_its_neighbours_imported(importer, bad_line, message):
    content = b'{"title": "Before"}\n' + encode(bad_line) + b'\n{"title": "After"}\n'

    document = importer.run(content, name="catalogue.jsonl")

    assert counts(document) == (2, 0, 0, 1)
    assert document["errors"][0]["line"] == 2
    assert message in json.dumps(document["errors"][0]["message"])
    assert [product["title"] for product in read_catalogue()] == ["Before", "After"]


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/1.jpg",
        "HTTPS://A.example:8443/1.jpg?size=large#top",
        "http://[::1]:8000/1.jpg",
        "http://user:secret@a.example/1.jpg",
        "https://bücher.example/ä.jpg",
        "demo/2.png",
        "a file with spaces.png",
        "..hidden/a..b.png",
        "é" * 1_024,
    ],
)
def test_url_or_media_name_is_accepted(importer, url):
    document = importer.run([{"id": 1, "title": "T", "images": [url]}])

    assert counts(document) == (1, 0, 0, 0)
    assert read_catalogue()[0]["images"] == [(0, url)]


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        None,
        7,
        "http://",
        "http:///1.jpg",
        "http://:80/1.jpg",
        "http://user@/1.jpg",
        "https:a.example/1.jpg",
        "http://a.example/1 2.jpg",
        "http://a.example\\@b.example/",
        "http://a.example/\u00a0x",
        "ftp://a.example/1.jpg",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "C:pictures/1.jpg",
        "//a.example/1.jpg",
        "/etc/passwd",
        "../../x",
        "demo/../../x",
        "demo/..",
        "demo/./x.png",
        "demo//x.png",
        "demo/",
        "demo\\x.png",
        "demo/\x1b[31m.png",
        "demo/\u2028.png",
        "é" * 1_025,
        "half \ud800",
    ],
)
def test_url_that_is_neither_web_nor_media_is_refused(importer, url):
    document = importer.run([{"title": "T", "images": ["good.png", url]}])

    assert counts(document) == (0, 0, 0, 1)
    assert is_empty()


def pack_zip() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("catalogue.csv", HEADER + GOOD)
    return archive.getvalue()


@pytest.mark.parametrize(
    "content, message",
    [
        (gzip.compress((HEADER + GOOD).encode(), mtime=0), "received a gzip file; unpack it first"),
        (pack_zip(), "received a zip file; unpack it first"),
        (b"\x00" * 10_000, "expected a first row with the columns"),
        (b"", "received an empty file"),
        (b"\n\n", "received an empty file"),
        (GOOD.encode(), "received '', 'Good'"),
        (HEADER.replace(",", "~").encode(), "separated by commas, semicolons, tabs or |, received 'id~title~"),
        (HEADER.replace("title,", "").encode(), "received 'id', 'image_urls'"),
        (HEADER.replace("title", "id").encode(), "expected a first row with every name once, received 'id' twice"),
        (HEADER.replace("original_text", "originaltxt").encode(), "the column original_text, received 'originaltxt'"),
        (b'"id,title\n' + GOOD.encode(), "separated by commas, semicolons, tabs or |"),
    ],
)
def test_file_that_is_no_csv_catalogue_is_refused_as_a_whole(importer, content, message):
    document = importer.run(content, name="catalogue.csv")

    assert document["exit"] == 1
    assert message in document["failure"]
    assert is_empty()


@pytest.mark.parametrize(
    "name, content",
    [
        ("catalogue.csv", HEADER),
        ("catalogue.csv", HEADER + "\n \n,,,,,\n"),
        ("catalogue.jsonl", ""),
        ("c.jsonl", " \n\r\n"),
    ],
)
def test_file_without_products_imports_nothing(importer, name, content):
    document = importer.run(content, name=name)

    assert (document["exit"], *counts(document)) == (0, 0, 0, 0, 0)
    assert is_empty()


@pytest.mark.parametrize("content", [HEADER + GOOD, '{"title": "Good", "images": ["good.png"]}\n'])
def test_utf8_byte_order_mark_is_not_part_of_the_text(importer, content):
    name = "catalogue.csv" if content.startswith("id") else "catalogue.jsonl"

    document = importer.run(b"\xef\xbb\xbf" + content.encode(), name=name)

    assert counts(document) == (1, 0, 0, 0)
    assert read_catalogue()[0]["title"] == "Good"


def test_unclosed_quote_before_many_lines_costs_its_own_line(importer):
    rows = "".join(f",Product {number},,us,{'long text ' * 10},\n" for number in range(2_000))
    assert len(rows) > 200_000

    document = importer.run(HEADER + ',"unclosed,,,,\n' + rows, name="catalogue.csv")

    assert counts(document) == (2_000, 0, 0, 1)
    assert document["errors"][0]["line"] == 2
    assert Product.objects.count() == 2_000


def test_unclosed_quote_before_the_end_of_the_file_costs_its_own_line(importer):
    document = importer.run(HEADER + GOOD + ',"unclosed,,,,\n,After,,,,\n', name="catalogue.csv")

    assert counts(document) == (2, 0, 0, 1)
    assert document["errors"][0]["line"] == 3


def test_quoted_cell_may_hold_lines_commas_and_quotes(importer):
    importer.run(HEADER + ',T,,us,"one,\r\n""two"" \nthree",\n,bad,,,\n', name="catalogue.csv")

    assert read_catalogue()[0]["descriptions"] == [("us", 'one,\r\n"two" \nthree', None)]


def test_line_after_a_quoted_line_break_keeps_its_number(importer):
    document = importer.run(HEADER + ',T,,us,"one\ntwo",\n,bad,,,\n', name="catalogue.csv")

    assert [error["line"] for error in document["errors"]] == [4]


def test_mixed_line_ends_separate_rows_and_other_white_space_does_not(importer):
    content = HEADER.rstrip() + "\r,CR,,,,\r\n,CRLF,,,,\n,LF\x0bVT\x85NEL\u2028LS,,,,\n\x0b,\x0b,Last\x85,,,,"

    document = importer.run(content, name="catalogue.csv")

    assert [product["title"] for product in read_catalogue()] == ["CR", "CRLF", "LF\x0bVT\x85NEL\u2028LS"]
    assert counts(document) == (3, 0, 0, 1)


def test_csv_rows_of_an_id_that_stand_apart_or_disagree_are_refused(importer):
    document = importer.run(
        HEADER
        + "1,A,a.png,us,x,\n1,Other,a.png,de,x,\n1,A,b.png,fr,x,\n1,A,,US,y,\n1,A,,,y,\n2,B,,,,\n1,A,a.png,es,x,\n",
        name="catalogue.csv",
    )

    assert counts(document) == (2, 0, 0, 5)
    assert [error["line"] for error in document["errors"]] == [3, 4, 5, 6, 8]
    assert read_catalogue()[0]["descriptions"] == [("us", "x", None)]


def test_urls_that_stand_in_many_products_are_one_image_each(importer):
    document = importer.run(
        [{"id": number, "title": "T", "images": ["same.png", f"{number % 3}.png"]} for number in range(1, 1_101)]
    )

    assert counts(document) == (1_100, 0, 0, 0)
    assert sorted(Image.objects.values_list("url", flat=True)) == ["0.png", "1.png", "2.png", "same.png"]
    assert read_catalogue()[1_099]["images"] == [(0, "same.png"), (1, "2.png")]


def test_titles_that_differ_by_case_width_or_normal_form_are_different_products(importer):
    titles = ["Café", "CAFÉ", "Cafe\u0301", "Ｃａｆé", "Cafe"]

    first = importer.run([{"title": title} for title in titles])
    second = importer.run([{"title": title} for title in titles])

    assert counts(first) == (5, 0, 0, 0)
    assert counts(second) == (0, 0, 5, 0)
    assert [product["title"] for product in read_catalogue()] == titles


def test_hundred_bad_rows_among_thousands_are_reported_one_by_one(importer):
    rows = [f",Product {number},,,," if number % 25 else f"x{number},Product {number},,,," for number in range(2_500)]

    document = importer.run(HEADER + "\n".join(rows), name="catalogue.csv")

    assert counts(document) == (2_400, 0, 0, 100)
    assert [error["line"] for error in document["errors"]] == [2 + 25 * number for number in range(100)]
    assert Product.objects.count() == 2_400
    assert not Product.objects.filter(title="Product 0").exists()
