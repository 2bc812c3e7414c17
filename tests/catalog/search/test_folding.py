# ruff: noqa: RUF001
"""A search finds a text however either of them is written: the same answers on every database."""

import io
import os
import random
import unicodedata

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from catalog.models import Product
from catalog.search.folding import fold
from catalog.search.query import TextSearch
from config.db.paging import Walk
from config.web.texts import extract_text
from tests.support.factories import create_product

FIRST_ID = 50_001
#: What a product is found by that has this id and nothing else to be found by.
ID = 61_044
ID_SEARCHES = ["61044", "６１０４４", "61044 nothing", "nothing ６１０４４"]

#: A title -> the searches that find it and no other one of these.
TABLE = {
    # Accents, composed and decomposed, of several scripts' letters; what no accent is taken from.
    "Robe d'été légère": ["été", "ete", "ÉTÉ", "e\u0301te\u0301", "legere", "LÉGÈRE", "d'ete"],
    "Cafe\u0301 racer": ["café", "cafe", "CAFÉ", "cafe\u0301", "caf\u00e9 racer"],
    "Grüner Hut": ["grün", "GRÜN", "gruner", "gru\u0308n", "Grüner Hut"],
    "Große Maße": ["grosse", "GROSSE", "große", "GROẞE", "masse", "große masse"],
    "Maison Orée": ["oree", "Orée", "OREE", "maison oree", "orée maison"],
    "Señora niña": ["senora", "SEÑORA", "nina", "nin\u0303a"],
    "Smørrebrød Øl": ["smorrebrod", "SMØRREBRØD", "smørrebrod"],
    "Łódź żółta": ["lodz", "łódź", "ŁÓDŹ", "zolta", "żółta"],
    "Đại Việt áo dài": ["dai viet", "đại việt", "ĐẠI", "ao dai", "áo dài"],
    "Œuvre d'Ægir": ["oeuvre", "œuvre", "ŒUVRE", "aegir", "ægir", "ÆGIR"],
    "İstanbul kışlık": ["istanbul", "İSTANBUL", "ISTANBUL", "kislik", "kışlık", "KIŞLIK"],
    "Þórr fatnaður": ["thorr", "þórr", "fatnadur", "FATNAÐUR"],
    # Case and accents of other scripts.
    "Летний сарафан Ёлка": ["летний", "ЛЕТНИЙ", "летнии", "елка", "ЁЛКА", "сарафан елка"],
    "Ελληνικός χιτώνας": ["ελληνικος", "ΕΛΛΗΝΙΚΌΣ", "ΧΙΤΩΝΑΣ", "χιτώνασ", "χιτωνας"],
    "Հայկական Տարազ": ["հայկական", "ՀԱՅԿԱԿԱՆ", "տարազ", "ՏԱՐԱԶ"],
    "ქართული ჩოხა": ["ქართული", "ᲥᲐᲠᲗᲣᲚᲘ", "ჩოხა", "ᲩᲝᲮᲐ"],
    "Ⰰⰱ Ⲁⲃ": ["ⰰⰱ", "ⰀⰁ", "ⲁⲃ", "ⲀⲂ"],
    "שִׂמְלָה": ["שמלה", "שִׂמְלָה", "שמל"],
    "قُفْطَان أَنِيق": ["قفطان", "قُفْطَان", "انيق", "أنيق"],
    "साड़ी रेशमी": ["साड़ी", "रेशमी", "रेशम"],
    "ชุดไทย": ["ชุดไทย", "ไทย"],
    # Widths, and scripts whose marks are letters.
    "Ｔシャツ　白": ["Tシャツ", "tシャツ", "ｔｼｬﾂ", "Ｔシャツ", "シャツ 白", "ｼｬﾂ"],
    "ガウン": ["ガウン", "ｶﾞｳﾝ", "カ\u3099ウン"],
    "カウンター": ["カウンター", "ｶｳﾝﾀｰ"],
    "한복 저고리": ["한복", "\u1112\u1161\u11ab\u1107\u1169\u11a8", "저고리"],
    "旗袍": ["旗袍", "旗", "袍"],
    "ＳＫＵ－１２３４": ["sku-1234", "SKU－1234", "ｓｋｕ", "１２３４"],
    # Ligatures, small and circled signs, what nobody sees.
    "ﬁne ﬂannel": ["fine", "FINE", "ﬁne", "flannel", "ﬂannel", "fine flannel"],
    "soft\u00adshell jacket": ["softshell", "soft\u00adshell", "SOFTSHELL", "soft\u200bshell", "jacket softshell"],
    "zero\u200bwidth\ufeffjoin": ["zerowidthjoin", "zero\u200dwidth", "widthjoin"],
    "No ② m² ½": ["m2", "m²", "½", "no ② m²"],
    "Marque™ №7": ["marquetm", "marque™", "№7", "no7"],
    "👩\u200d👩\u200d👧 kids ❤\ufe0f": ["👩👩👧", "👩\u200d👩\u200d👧", "❤", "❤\ufe0f kids"],
    # Signs: apostrophes, quotes, hyphens, spaces.
    "O’Neill board": ["o'neill", "O’NEILL", "o‘neill", "oʼneill", "o´neill", "O＇Neill"],
    "Levi's denim": ["levi's", "Levi’s", "LEVI`S".replace("`", "´"), "levi′s"],
    "„Zitat“ «guillemets»": ['"zitat"', "„zitat“", "“zitat”", '"guillemets"', "«guillemets»"],
    "T‑shirt long": ["t-shirt", "T‑SHIRT", "t‐shirt", "t–shirt", "t−shirt", "T－shirt"],
    "Länge 38–40": ["38-40", "38–40", "38—40", "38‒40"],
    "Rahmen 5″": ['5"', "5″", "5”"],
    "non\u00a0breaking\u2009thin": ["non breaking", "breaking thin", "non\u00a0breaking", "thin non"],
    # Signs that mean something to databases stay themselves.
    "100% Wolle_rein": ["100%", "100％", "wolle_rein", "WOLLE＿REIN"],
    r"back\slash": [r"back\slash", r"BACK＼SLASH", r"k\s"],
    "AB-123/45.X": ["ab-123/45.x", "AB－123／45．X", "123/45"],
    "C++ & C# :*": ["c++", "C＃", ":*", "＆"],
}
#: What none of the titles has.
MISSES = [
    "ｶｳﾝ゛",
    "क",
    "x—",
    "61045",
    "061044",
    "6104",
    "61044 racer",
    "o''neill",
    "e\u0301te\u0301e\u0301",
    "ßß",
    "カウ\u3099ン",
]


@pytest.mark.django_db
@pytest.mark.both_databases
def test_texts_are_found_however_they_and_the_searches_are_written() -> None:
    wanted = [(text, []) for text in MISSES] + [(text, [ID]) for text in ID_SEARCHES]
    create_product("Nothing", id=ID)
    for number, (title, texts) in enumerate(TABLE.items(), start=FIRST_ID):
        # Half of the texts stand in a description.
        described = {"us": (None, title)} if number % 2 else {}
        create_product("" if described else title, id=number, descriptions=described)
        wanted += [(text, [number]) for text in texts]
    assert len(wanted) >= 200
    products = Product.objects.order_by("pk")
    wrong = {}
    for text, expected in wanted:
        # On PostgreSQL the first asks the index, the second looks at what it has of each product.
        at_once = list(TextSearch(text).find(products).values_list("pk", flat=True))
        first = [row.pk for row in TextSearch(text).find_first(products, count=3, walk=Walk(by_id=True))]
        if not at_once == first == expected:
            wrong[text] = (at_once, first, expected)
    assert wrong == {}


@given(st.text())
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.text())
def test_words_are_folded_whatever_stands_beside_them(one: str, other: str) -> None:
    assert fold(f"{one} {other}") == f"{fold(one)} {fold(other)}"


@pytest.mark.django_db
@pytest.mark.postgresql
def test_postgresql_folds_every_letter_alike() -> None:
    letters = [
        f"a{chr(code)}b"
        for code in range(1, 0x110000)
        if not 0xD800 <= code < 0xE000 and unicodedata.category(chr(code)) not in ("Cn", "Co", "Cc", "Zl", "Zp")
    ]
    texts = ["\n".join(letters[start : start + 500]) for start in range(0, len(letters), 500)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(catalog_fold(text) ORDER BY place) FROM unnest(%s) WITH ORDINALITY AS of (text, place)",
            [texts],
        )
        (folded,) = cursor.fetchone()
    differing = [
        ascii(letter)
        for text, there in zip(texts, folded, strict=True)
        if there != fold(text)
        for letter, found in zip(text.split("\n"), there.split("\n"), strict=True)
        if found != fold(letter)
    ]
    assert differing == []


@pytest.mark.django_db
@pytest.mark.postgresql
def test_postgresql_reads_html_alike() -> None:
    dice = random.Random(7)
    parts = [
        "<p>",
        "</P>",
        "<b",
        ">",
        "<br/>",
        "<h2 class='a'>",
        "<!-- a -->",
        "<ball>",
        "< ",
        "&amp;",
        "&AMP;",
        "&",
        ";",
    ]
    parts += [
        "&eacute;",
        "&nosuch;",
        "&notit;",
        "&#8364;",
        "&#x20AC;",
        "&#0;",
        "&#150;",
        "&#x1F600;",
        "&#55296;",
        "&lt;b&gt;",
    ]
    parts += ["&#9999999;", "&#xFFFFFF;", "&#7;", "&#", "&nbsp;", "red", "é", "\n", " ", "a"]
    texts = ["".join(dice.choices(parts, k=dice.randrange(1, 12))) for _ in range(2_000)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(catalog_text(text) ORDER BY place) FROM unnest(%s) WITH ORDINALITY AS of (text, place)",
            [texts],
        )
        (found,) = cursor.fetchone()
    read = zip(texts, found, strict=True)
    differing = [(text, there) for text, there in read if there.split() != extract_text(text).split()]
    assert differing == []


@pytest.mark.django_db
@pytest.mark.skipif("CASES_DIR" not in os.environ, reason="needs the folder of cases that CASES_DIR names")
def test_accents_of_published_titles_are_found_composed_decomposed_and_without() -> None:
    call_command(
        "import_catalog", f"{os.environ['CASES_DIR']}/catalogue/13-nfd-titles.jsonl", "--json", stdout=io.StringIO()
    )
    for text in ("caf\u00e9", "cafe\u0301", "cafe", "CAF\u00c9 dress"):
        assert sorted(TextSearch(text).find(Product.objects.all()).values_list("pk", flat=True)) == [1, 2], ascii(text)
