"""What the catalogue's values may be."""

import pytest

from catalog.values import (
    RecordError,
    clean_country,
    clean_image_url,
    clean_text,
    clean_title,
    find_country,
    find_host,
    is_media_name,
)

UNSEEN = ["\u200b", "\ufeff", "\u200b \u2060", "\u00ad", "\u3164", "\u2800", "\ufe0f", "\u202e\u202c", "\u0000\u200b"]


@pytest.mark.parametrize(
    "text, code",
    [
        ("us", "us"),
        (" US ", "us"),
        ("UK", "gb"),
        ("el", "gr"),
        ("GBR", "gb"),
        ("Spain", "es"),
        ("united kingdom", "gb"),
        ("CÔTE D'IVOIRE", "ci"),
        ("en-US", "us"),
        ("en_gb", "gb"),
        ("EN-UK", "gb"),
        ("zh-Hant-TW", "tw"),
        ("NA", "na"),
        ("xk", "xk"),
    ],
)
def test_spelling_of_a_country_is_folded_into_its_code(text, code):
    assert clean_country(text) == find_country(text) == code


@pytest.mark.parametrize(
    "value",
    [
        "",
        "xx",
        "en",
        "Deutschland!",
        "39",
        "u s",
        "u\u200bs",
        "us-",
        "-us",
        "en-US-x",
        "\uff55\uff53",
        "840",
        None,
        7,
        ["us"],
    ],
)
def test_what_names_no_country_is_refused(value):
    with pytest.raises(RecordError, match="expected a country code of ISO 3166 such as 'us', received"):
        clean_country(value)


@pytest.mark.parametrize("text", UNSEEN)
def test_title_of_which_nothing_can_be_seen_is_refused(text):
    with pytest.raises(RecordError, match=r"received characters that cannot be seen|received a NUL character"):
        clean_title(text)


@pytest.mark.parametrize("text", UNSEEN[:-1])
def test_text_of_which_nothing_can_be_seen_is_none(text):
    assert clean_text(text, field="original_text") is None
    with pytest.raises(RecordError, match="received an empty one"):
        clean_image_url(text)


@pytest.mark.parametrize("title", ["👟", "€", "۳", "-", "\u200bShirt\ufeff", "é", "漢", "क"])
def test_title_of_which_something_can_be_seen_is_kept(title):
    assert clean_title(f" {title}\n") == title


@pytest.mark.parametrize(
    "url, host",
    [("https://Shop.example:8443/1.jpg", "shop.example"), ("demo/1.png", ""), ("http://[bad/1.jpg", ""), ("", "")],
)
def test_host_of_an_address_is_found_and_what_is_none_has_none(url: str, host: str) -> None:
    assert find_host(url) == host


@pytest.mark.parametrize(
    "url, is_name",
    [
        ("demo/1.png", True),
        ("1.png", True),
        ("a/b:c.png", True),
        ("2024-01-01 12:30.jpg", True),
        ("https://h/1.png", False),
        ("//h/1.png", False),
        ("/etc/passwd", False),
        ("javascript:alert(1)", False),
        ("data:image/png,x", False),
    ],
)
def test_media_name_has_no_scheme(url, is_name):
    assert is_media_name(url) is is_name
