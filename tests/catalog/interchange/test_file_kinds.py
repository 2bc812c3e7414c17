"""Files as spreadsheet programs and shop systems write them: read, and said how, or refused by one sentence."""

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from catalog.interchange.reading import CatalogueFile, read_records
from catalog.interchange.records import ProductRecord
from catalog.interchange.text_source import SourceError

ROWS = [
    (
        "7",
        "Größe 38 € Rock",
        "https://shop.example/1.jpg https://shop.example/2.jpg",
        "de",
        'Ein "Rock",\nweiß; lang',
        "",
    ),
    ("8", "Hemd", "", "", "", ""),
]
HEADER = ("id", "title", "image_urls", "country_code", "original_text", "translated_text")
ROCK = (7, "Größe 38 € Rock", ("https://shop.example/1.jpg", "https://shop.example/2.jpg"))
BOTH = [(*ROCK, {"de": ('Ein "Rock",\nweiß; lang', None)}), (8, "Hemd", None, {})]


def write_csv(header: Any = HEADER, rows: Any = ROWS, *, line_end: str = "\r\n", **options: Any) -> str:
    """Return a CSV file as text."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end, **options).writerows([header, *rows])
    return text.getvalue()


def read(content: bytes, *, name: str = "catalogue.csv", **options: Any) -> CatalogueFile:
    """Return a file that is being read."""
    return read_records(io.BufferedReader(io.BytesIO(content)), name=name, **options)


def list_products(source: CatalogueFile) -> list[Any]:
    """Return (id, title, images, descriptions) of each product, and each refusal as it is."""
    return [
        (row.id, row.title, row.images, dict(row.descriptions)) if isinstance(row, ProductRecord) else row
        for row in source
    ]


def pack(*names: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return archive.getvalue()


SHOP_HEADER = ("ID", "Type", "SKU", "Name", "Published", "Short description", "Description", "Regular price", "Images")
SHOP_ROW = (
    "7",
    "simple",
    "R-1",
    "Rock",
    "1",
    "",
    "Ein Rock",
    "9,99",
    "https://shop.example/1.jpg, https://shop.example/2.jpg",
)
SHOP_PRODUCT = (7, "Rock", ROCK[2], {"us": ("Ein Rock", None)})
PRODUCTS = [
    {
        "id": 7,
        "title": ROCK[1],
        "images": list(ROCK[2]),
        "descriptions": [{"country_code": "de", "original_text": "x"}],
    },
    {"id": 8, "title": "Hemd"},
]
FROM_JSON = [(*ROCK, {"de": ("x", None)}), (8, "Hemd", None, {})]

# Program -> (its file, how it is read, what is in it).
READ: dict[str, tuple[bytes, str, list[Any]]] = {
    "Excel, CSV UTF-8": (write_csv().encode("utf-8-sig"), 'CSV, UTF-8, ","', BOTH),
    "Excel, CSV in Western Europe": (write_csv(delimiter=";").encode("cp1252"), 'CSV, Windows-1252, ";"', BOTH),
    "Excel, CSV in Poland": (
        write_csv(
            rows=[("7", "Sukienka letnia żółta", "", "pl", "Piękna sukienka, świetna jakość", "")], delimiter=";"
        ).encode("cp1250"),
        'CSV, Windows-1250, ";"',
        [(7, "Sukienka letnia żółta", None, {"pl": ("Piękna sukienka, świetna jakość", None)})],
    ),
    "Excel, CSV in Russia": (
        write_csv(rows=[("7", "Платье летнее", "", "ru", "Красивое летнее платье", "")], delimiter=";").encode(
            "cp1251"
        ),
        'CSV, Windows-1251, ";"',
        [(7, "Платье летнее", None, {"ru": ("Красивое летнее платье", None)})],
    ),
    "Excel for Mac, CSV": (
        write_csv(rows=[(*ROWS[0][:4], "Größe weiß", ""), ROWS[1]], delimiter=";", line_end="\r").encode("mac_roman"),
        'CSV, Mac Roman, ";"',
        [(*ROCK, {"de": ("Größe weiß", None)}), BOTH[1]],
    ),
    "Excel, Unicode text": (write_csv(delimiter="\t").encode("utf-16"), "CSV, UTF-16, tab", BOTH),
    "Excel with a line for its separator": (
        f"sep=;\r\n{write_csv(delimiter=';')}".encode("utf-8-sig"),
        'CSV, UTF-8, ";"',
        BOTH,
    ),
    "Excel with empty columns at the end": (
        write_csv((*HEADER, "", ""), [(*row, "", "") for row in ROWS]).encode(),
        'CSV, UTF-8, ","',
        BOTH,
    ),
    "LibreOffice, every cell quoted": (
        write_csv(quoting=csv.QUOTE_ALL, line_end="\n").encode(),
        'CSV, UTF-8, ","',
        BOTH,
    ),
    "Google Sheets, TSV": (
        write_csv(rows=[(*ROWS[0][:4], "Ein Rock", ""), ROWS[1]], delimiter="\t").encode(),
        "CSV, UTF-8, tab",
        [(*ROCK, {"de": ("Ein Rock", None)}), BOTH[1]],
    ),
    "a database, separated by |": (write_csv(delimiter="|").encode(), 'CSV, UTF-8, "|"', BOTH),
    "a program without a byte-order mark in UTF-16": (write_csv().encode("utf-16-le"), 'CSV, UTF-16, ","', BOTH),
    "a person's own names": (
        write_csv(("Product ID", "Product name", "Image URLs", "Country", "Description", "Translation")).encode(),
        'CSV, UTF-8, ","',
        BOTH,
    ),
    "files joined, each with its header": (
        write_csv(rows=ROWS[:1]).encode("utf-8-sig") + write_csv(rows=ROWS[1:]).encode("utf-8-sig"),
        'CSV, UTF-8, ","',
        BOTH,
    ),
    "WooCommerce": (write_csv(SHOP_HEADER, [SHOP_ROW]).encode("utf-8-sig"), 'CSV, UTF-8, ","', [SHOP_PRODUCT]),
    "PrestaShop": (
        write_csv(
            ("Product ID", "Image", "Name", "Reference", "Quantity"),
            [("7", "https://shop.example/1.jpg", "Rock", "R", "3")],
            delimiter=";",
        ).encode(),
        'CSV, UTF-8, ";"',
        [(7, "Rock", ROCK[2][:1], {})],
    ),
    "Etsy, a column for each picture": (
        write_csv(
            ("TITLE", "DESCRIPTION", "PRICE", "IMAGE1", "IMAGE2"), [("Rock", "Ein Rock", "9", *ROCK[2])]
        ).encode(),
        'CSV, UTF-8, ","',
        [(None, "Rock", ROCK[2], {"us": ("Ein Rock", None)})],
    ),
    "Shopify": (
        write_csv(
            ("Handle", "Title", "Body (HTML)", "Vendor", "Image Src", "Image Position"),
            [
                ("rock", "Rock", "<p>Ein&nbsp;<b>Rock</b></p><ul><li>weiß</li></ul>", "V", ROCK[2][1], "2"),
                ("rock", "", "", "", ROCK[2][0], "1"),
            ],
        ).encode(),
        'Shopify, UTF-8, ","',
        [(None, "Rock", ROCK[2], {"us": ("Ein Rock\nweiß", None)})],
    ),
    "Shopify since 2025": (
        write_csv(
            ("Title", "URL handle", "Description", "Product image URL", "Image position"),
            [
                ("Rock", "rock", "Ein Rock", ROCK[2][0], "1"),
                ("", "rock", "", ROCK[2][1], "2"),
                ("", "rock", "", "", ""),
            ],
        ).encode(),
        'Shopify, UTF-8, ","',
        [(None, "Rock", ROCK[2], {"us": ("Ein Rock", None)})],
    ),
    "JSON Lines": (
        "".join(f"{json.dumps(product)}\n" for product in PRODUCTS).encode(),
        "JSON Lines, UTF-8",
        FROM_JSON,
    ),
    "JSON Lines joined, each with a byte-order mark": (
        "".join(f"\ufeff{json.dumps(product)}\n" for product in PRODUCTS).encode(),
        "JSON Lines, UTF-8",
        FROM_JSON,
    ),
    "a JSON array": (json.dumps(PRODUCTS, indent=1).encode(), "JSON array, UTF-8", FROM_JSON),
    "a JSON array in one line": (json.dumps(PRODUCTS).encode("utf-16"), "JSON array, UTF-16", FROM_JSON),
    "JSON objects that spread over lines": (
        "\n".join(json.dumps(product, indent=1) for product in PRODUCTS).encode(),
        "JSON, UTF-8",
        FROM_JSON,
    ),
}

HEADERS = [
    "Titel;Beschreibung;Bild",
    "Produktname;Produktbeschreibung;Bild 1",
    "Titre;Description;Image",
    "Nombre;Descripción;Imagen",
    "Nome;Descrizione;Immagine",
    "Naam;Omschrijving;Afbeelding",
    "Nazwa;Opis;Zdjęcie",
]


@pytest.mark.parametrize("header", HEADERS)
def test_columns_have_their_names_in_the_languages_of_shops(header: str) -> None:
    source = read(f"{header}\nRock;rot;a.jpg\n".encode())
    assert list_products(source) == [(None, "Rock", ("a.jpg",), {"us": ("rot", None)})]


@pytest.mark.parametrize("title", ["Kleid Ü", "Größe", "Été", "Señora ÄÖ", "Robe à pois"])
def test_a_few_letters_in_a_short_file_are_western(title: str) -> None:
    source = read(f"Title;Image\r\n{title};a.jpg\r\nRock;b.jpg\r\n".encode("cp1252"))
    assert source.words == 'CSV, Windows-1252, ";"'
    assert list_products(source)[0][1] == title


AN_EXCEL_WORKBOOK = "received an Excel workbook; in the spreadsheet program save it as CSV UTF-8"
UNREADABLE = "expected a CSV row, received one that cannot be read"
# Program -> (its file, what the one sentence says).
REFUSED: dict[str, tuple[bytes, str]] = {
    "Excel, a workbook": (pack("[Content_Types].xml", "xl/workbook.xml"), AN_EXCEL_WORKBOOK),
    "Excel 97, a workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), AN_EXCEL_WORKBOOK),
    "LibreOffice, a spreadsheet": (
        pack("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
        "received an OpenDocument spreadsheet; in the",
    ),
    "Numbers, a document": (pack("Index/Document.iwa"), "received a Numbers document; in the"),
    "an archive": (pack("catalogue.csv"), "received a zip file; unpack it first"),
    "a picture": (b"\xff\xd8\xff\xe0\0\x10JFIF", "received a picture; pictures come in a ZIP, beside the catalogue"),
    "a file that was compressed": (gzip.compress(write_csv().encode()), "received a gzip file; unpack it first"),
    "Excel in Japan": (
        write_csv(rows=[("7", "レディース ワンピース", "", "jp", "夏の綿", "")]).encode("cp932"),
        "save the file as CSV UTF-8, or say its encoding",
    ),
    "a feed": (b'<?xml version="1.0"?><rss><channel/></rss>', "received HTML or XML; export the catalogue as CSV"),
    "a page that was saved": (b"\n<!DOCTYPE html><table></table>", "received HTML or XML; export the catalogue as CSV"),
    "a shop with article numbers as ids": (
        write_csv(("id", "title"), [(f"SKU-{number}", "Rock") for number in range(30)]).encode(),
        "expected whole numbers as id, received 'SKU-19' and others; give that column another name",
    ),
    "a table turned round": (write_csv(["title", *map(str, range(1_000))], []).encode(), "at most 1,000 columns"),
    "a file without a header": (write_csv(ROWS[1], ROWS).encode(), "expected a first row with the columns id,title,"),
    "a file with a name that is misspelt": (
        write_csv(("id", "title", "transalted_text", "country_code"), []).encode(),
        "expected a first row with the column translated_text, received 'transalted_text'",
    ),
}


@pytest.mark.parametrize("program", READ)
def test_it_is_read_and_said_how(program: str) -> None:
    content, words, products = READ[program]
    source = read(content)
    assert source.words == words
    assert list_products(source) == products


@pytest.mark.parametrize("program", REFUSED)
def test_it_is_refused_by_one_sentence(program: str) -> None:
    content, sentence = REFUSED[program]
    with pytest.raises(SourceError) as refusal:
        list_products(read(content))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_it_says_what_it_does_not_use_and_whose_texts_it_takes_them_for() -> None:
    source = read(READ["WooCommerce"][0], country="DE")
    assert source.notes == (
        "Columns that are not used: Type, SKU, Published, Short description, Regular price.",
        "Texts are taken for those of the country de, for the file names none.",
    )
    assert list_products(source)[0][3] == {"de": ("Ein Rock", None)}


def test_a_name_or_a_separator_that_is_no_text_is_shown_all_the_same() -> None:
    source = read("title,größe,".encode() + b"pr\xffis\nRock,38,5\n")
    assert source.notes == ("Columns that are not used: größe, pr?is.",)
    source = read(b"sep=\xff\ntitle\xffprice\nRock\xff5\n", encoding="utf-8-sig")
    assert (source.words, len(list_products(source))) == ("CSV, UTF-8, ?", 1)


def test_a_backslash_is_no_separator() -> None:
    with pytest.raises(SourceError, match="expected a first row with the columns"):
        read(b"sep=\\\ntitle\\price\nRock\\5\n")


def test_of_many_columns_some_are_named() -> None:
    (note,) = read(write_csv(["title", *(f"attribute {number}" for number in range(30))], []).encode()).notes
    assert note.endswith("attribute 18, attribute 19 and 10 others.")


def test_a_guess_at_the_encoding_is_said_and_may_be_corrected() -> None:
    content = write_csv(rows=[("7", "Pánské tričko", "", "cz", "Příjemné tričko", "")]).encode("cp1250")
    source = read(content)
    assert (source.words, source.notes) == (
        'CSV, Windows-1252, ","',
        ("The file does not say its encoding; does this look right: Pánské, trièko, Pøíjemné?",),
    )
    assert list_products(read(content, encoding="cp1250"))[0][1] == "Pánské tričko"


def test_a_letter_beyond_the_first_megabyte_tells_the_encoding() -> None:
    rows = [(str(number), "T", "", "us", "x" * 1_000, "") for number in range(1, 1_500)]
    source = read(write_csv(rows=[*rows, ("9000", "Größe", "", "", "", "")]).encode("cp1252"))
    assert list_products(source)[-1][1] == "Größe"


def test_shopifys_form_may_be_asked_for() -> None:
    with pytest.raises(SourceError, match="expected a first row with the columns Handle,Title,Image Src"):
        read(write_csv().encode(), format="shopify")
    # As any other CSV it has rows without a title.
    products = list_products(read(READ["Shopify"][0], format="csv"))
    assert [getattr(product, "message", "read") for product in products] == ["read", "expected a title, received none"]


def test_a_shopify_product_is_taken_whole_or_not_at_all() -> None:
    header = ("Handle", "Title", "Image Src")
    rows = [
        ("a", "A", "https://a.example/1.jpg"),
        ("a", "", "ftp://a.example/2.jpg"),
        ("b", "B", "https://a.example/3.jpg"),
        ("c", "", "x.jpg"),
        ("", "D", ""),
    ]
    refused_a, b, refused_c, refused_d = list(read(write_csv(header, rows).encode()))
    assert isinstance(b, ProductRecord)
    assert [(row.line, row.message[:30]) for row in (refused_a, refused_c, refused_d)] == [
        (3, "expected an http(s) url with a"),
        (5, "expected a title, received non"),
        (6, "expected a handle, received no"),
    ]
    assert [line for line, _ in refused_a.source] == [2, 3]


def test_values_of_an_array_that_are_no_products_cost_no_others() -> None:
    content = (
        b'\xef\xbb\xbf[\n {"title": "A"},\n 17, "x",\n {"title": "B}]", "images": ["\\\\\\"[.png"]},\n'
        b' {"title": }\n, {"title": "C"}\n'
    )
    rows = list(read(content, name="a.json"))
    assert [getattr(row, "title", None) or (row.line, row.message[:32]) for row in rows] == [
        "A",
        (3, "expected a JSON object, received"),
        (4, "expected a relative name inside "),
        (5, "expected a JSON object, received"),
        "C",
        (6, "expected a JSON object, received"),
    ]


def test_a_value_of_an_array_that_is_too_long_costs_no_others() -> None:
    content = b'[{"title": "' + b"x" * 3_000_000 + b'"},\n{"title": "A"}]'
    refused, record = read(content)
    assert refused.message == TOO_LONG
    assert (record.title, record.line) == ("A", 2)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_an_array_is_the_same_however_it_comes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    products = [{"title": 'a\\"]}', "images": ["b[.png"]}, {"title": "\\\\"}]
    monkeypatch.setattr("catalog.interchange.text_source.CHUNK_BYTES", size)
    assert [row.title for row in read(json.dumps(products).encode())] == ['a\\"]}', "\\\\"]


class Trickle(io.RawIOBase):
    """A pipe: it cannot be rewound, and gives little at once."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        part, self._rest = self._rest[:100], self._rest[100:]
        buffer[: len(part)] = part
        return len(part)


@pytest.mark.parametrize("program", ["Excel, CSV in Western Europe", "Excel, Unicode text", "a JSON array"])
def test_a_pipe_is_read_as_a_file_is(program: str) -> None:
    content, words, products = READ[program]
    source = read_records(io.BufferedReader(Trickle(content)))
    assert (source.words, list_products(source)) == (words, products)


def list_rows(*rows: str) -> Iterator[str]:
    """Yield what becomes of rows behind our header: a title, or a line and why it is refused."""
    for row in read("\n".join([",".join(HEADER), *rows, ""]).encode()):
        yield row.title if isinstance(row, ProductRecord) else f"{row.line}: {row.message}"


TABLE_OF_SIZES = "36,37,us,39,40,41"
TOO_LONG = "expected less than 1,048,576 characters in a row, received more"
BACKSLASH = "expected a quote within quotes to be doubled, received one behind a backslash"


@pytest.mark.parametrize(
    "rows, expected",
    [
        # PHP's fputcsv: the quote behind a backslash does not end the cell, nor does the one before a comma.
        (
            (r'1,Boots,,us,"say \"36\"', TABLE_OF_SIZES, 'end",', "2,After,,,,"),
            [f"2: {BACKSLASH}; the row ends in line 4", "After"],
        ),
        (
            (r'1,Boots,,us,"wide 5\", sizes', TABLE_OF_SIZES, 'end",', "2,After,,,,"),
            [f"2: {BACKSLASH}; the row ends in line 4", "After"],
        ),
        ((r'1,Boots,,us,"5\" heel",', "2,After,,,,"), [f"2: {BACKSLASH}", "After"]),
        # A cell that ends with a backslash is none of those.
        (('1,Boots,,us,"C:\\, D:\\",', '2,After,,us,"a, b",', '3,Last,,us,"E:\\",'), ["Boots", "After", "Last"]),
        (
            ('1,Boots,,us,"' + "x" * 131_100, TABLE_OF_SIZES, 'end",', "2,After,,,,"),
            [f"2: {UNREADABLE}: field larger than field limit (131073); the row ends in line 4", "After"],
        ),
        (
            ('1,Boots,,us,"' + "x" * 1_500_000 + '"",', TABLE_OF_SIZES, 'end",', "2,After,,,,"),
            [f"2: {UNREADABLE}: {TOO_LONG}; the row ends in line 4", "After"],
        ),
        (
            ('1,Boots,,us,"cut" off"', TABLE_OF_SIZES, 'end",', "2,After,,,,"),
            [f"2: {UNREADABLE}: ',' expected after '\"'; the row ends in line 4", "After"],
        ),
        (('1,Boots,,us,"never closed,', "2,After,,,,"), [f"2: {UNREADABLE}: unexpected end of data", "After"]),
        (('1,"two\nlines",,us', "2,After,,,,"), ["2: expected 6 cells, received 4; the row ends in line 3", "After"]),
    ],
)
def test_a_line_within_quotes_is_never_a_row(rows: tuple[str, ...], expected: list[str]) -> None:
    assert list(list_rows(*rows)) == expected


def test_quotes_that_are_not_closed_in_megabytes_end_the_file() -> None:
    content = ",".join(HEADER) + '\n1,"open,,,,\n' + "2,After,,,,\n" * 400_000
    with pytest.raises(SourceError, match=r"expected the quotes in line 2 to be closed within 4,194,304 characters"):
        list(read(content.encode()))


def test_cells_in_columns_without_a_name_are_not_lost() -> None:
    content = "title,,\nA,,\nB,b.png,\nC,,,,\nD,,,x\n"
    rows = [getattr(row, "title", None) or row.message for row in read(content.encode())]
    assert rows == [
        "A",
        "expected nothing in a column without a name, received 'b.png'",
        "C",
        "expected 3 cells, received 4",
    ]
