"""Texts of shops as our pages show them."""

import time

import pytest

from config.web.texts import extract_text


@pytest.mark.parametrize(
    "markup, text",
    [
        ("<p>Linen <b>shirt</b>&nbsp;soft &amp; light</p>", "Linen shirt soft & light"),
        ("Intro<P class='a'>One<br/>two</P><ul>\n <li>three</li><li>four</li></ul>", "Intro\nOne\ntwo\nthree\nfour"),
        ("<table><tr><th>Size</th><td>M</td></tr></table>", "Size\nM"),
        ('<a href="https://shop.example/?a=1&copy=2">here</a><!-- not here -->', "here"),
        ("caf&eacute; &#8364;&#x20ac; 3 &lt;b&gt;", "café €€ 3 <b>"),
        ("&notepad; &not; &unknown;", "&notepad; \u00ac &unknown;"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("a  <  b\n<3 size <M>, AT&T &copy <ball> </ p>", "a  <  b\n<3 size <M>, AT&T &copy <ball> </ p>"),
        ("", ""),
    ],
)
def test_what_a_person_reads_is_left(markup: str, text: str) -> None:
    assert extract_text(markup) == text


@pytest.mark.parametrize("part", ["<p ", "<b", "<!--", '<p "', "&", "&#x20", "<p>", "</p "])
def test_a_long_text_takes_time_by_its_length(part: str) -> None:
    begin = time.perf_counter()
    extract_text(part * (131_072 // len(part)))
    assert time.perf_counter() - begin < 1
