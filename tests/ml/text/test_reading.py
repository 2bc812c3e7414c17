"""What texts call a product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.ml.labels import BAGS, BOTTOM_PART, GROUPS, ONE_PIECE, UPPER_PART
from classifier.ml.text.lexicon import ENGLISH, LANGUAGES, NONE_OF_THESE
from classifier.ml.text.reading import (
    DESCRIPTION_SCORE,
    SILENT,
    TITLE,
    TITLE_SCORE,
    Text,
    TextReading,
    Verdict,
    Word,
    choose_languages,
    read_texts,
)
from tests.ml.text.phrases import PHRASES


def _read_title(title: str, *languages: str) -> TextReading:
    return read_texts([Text(TITLE, title, (ENGLISH, *languages))])


def _list_phrases() -> list[tuple[str, str, str]]:
    return [
        (language, phrase, said)
        for language, table in PHRASES.items()
        for said, phrases in table.items()
        for phrase in phrases
    ]


@pytest.mark.parametrize("language, phrase, said", _list_phrases())
def test_a_phrase_says_what_a_reader_of_its_language_understands(language: str, phrase: str, said: str) -> None:
    reading = _read_title(phrase, *({language} - {ENGLISH}))

    assert (reading.group or reading.verdict) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_its_table(language: str) -> None:
    assert sum(map(len, PHRASES[language].values())) >= 25
    assert set(GROUPS) <= set(PHRASES[language])


@pytest.mark.parametrize(
    "title, languages, said",
    [
        ("Rock", (), Verdict.SILENT),
        ("Rock", ("de",), BOTTOM_PART),
        ("Punk Rock T-Shirt", ("de",), UPPER_PART),
        ("Robe", (), Verdict.SILENT),
        ("Robe", ("fr",), ONE_PIECE),
        # English knows the trousers alone; German knows the jacket too, French the word between them.
        ("Jeans Jacke", (), BOTTOM_PART),
        ("Jeans Jacke", ("de",), UPPER_PART),
        ("T-shirt en jean", ("fr",), UPPER_PART),
        # Two languages that each understand something else.
        ("Calças com bolsos", ("pt",), BOTTOM_PART),
        ("Calças com bolsos", ("pt", "es"), Verdict.AMBIGUOUS),
    ],
)
def test_a_title_is_read_in_english_and_in_the_languages_of_its_countries(
    title: str, languages: tuple[str, ...], said: str
) -> None:
    reading = _read_title(title, *languages)

    assert (reading.group or reading.verdict) == said


def test_a_reading_names_the_words_as_they_are_written() -> None:
    assert _read_title("Été: Robe pull « chaude », avec ceinture", "fr") == TextReading(
        verdict=Verdict.GROUP,
        group=ONE_PIECE,
        garment="Dress",
        words=(Word(word="Robe pull", language="fr", field=TITLE, says=ONE_PIECE),),
        score=TITLE_SCORE,
    )
    belt = _read_title("Leather BELT")
    assert (belt.verdict, belt.words[0].word, belt.words[0].says) == (Verdict.NONE_OF_THESE, "BELT", NONE_OF_THESE)


@pytest.mark.parametrize(
    "title, word", [("blue_dress_shirt", "dress shirt"), ("red_cotton skirt long", "skirt"), ("Été_BELT", "BELT")]
)
def test_words_may_be_joined_by_underscores(title: str, word: str) -> None:
    assert [found.word for found in _read_title(title).words] == [word]


def test_a_garment_is_named_where_the_word_is_one_of_the_ten() -> None:
    assert _read_title("Linen shirt").garment == "Shirt"
    assert _read_title("Denim jacket").garment == ""
    assert _read_title("Trousers / Jeans").garment == "Trouser"


def test_the_title_decides_where_it_says_something() -> None:
    skirt = Text("us translated_text", "A skirt that goes with any blouse. Bag not included.")
    title = Text(TITLE, "Women's top")

    assert read_texts([title, skirt]).group == UPPER_PART
    assert read_texts([Text(TITLE, "Nordhavn 12"), skirt]).group == BOTTOM_PART


def test_descriptions_count_less_and_must_agree() -> None:
    skirt, bag = Text("us", "A pleated skirt for summer."), Text("gb", "The bag for every day.")

    reading = read_texts([skirt, Text("gb", "This skirt goes with any blouse.")])
    assert (reading.group, reading.score) == (BOTTOM_PART, DESCRIPTION_SCORE)
    assert [word.field for word in reading.words] == ["us", "gb"]
    assert read_texts([skirt, bag]).verdict == Verdict.AMBIGUOUS
    assert read_texts([bag]).group == BAGS


def test_nothing_is_silent() -> None:
    assert read_texts([]) is SILENT
    assert _read_title("") is SILENT


def test_a_country_has_its_languages() -> None:
    assert choose_languages(["CH", "us"]) == ("en", "de", "fr", "it")
    assert choose_languages(["be", "xx"]) == ("en", "de", "nl", "fr")
    assert choose_languages([]) == ("en",)


@given(st.lists(st.tuples(st.sampled_from([TITLE, "us"]), st.text()), max_size=4))
def test_no_text_is_too_strange(texts: list[tuple[str, str]]) -> None:
    reading = read_texts([Text(field, text, LANGUAGES) for field, text in texts])

    assert (reading is SILENT) == (reading.verdict == Verdict.SILENT)
    assert (reading.verdict == Verdict.GROUP) == bool(reading.group)


@given(st.lists(st.sampled_from(["dress", "shirt", "with", "&", ",", "für", "Rock", "sac", "à", "tie", "-", "box"])))
def test_words_are_found_where_the_text_has_them(words: list[str]) -> None:
    title = " ".join(words)

    assert all(word.word in title for word in _read_title(title, *LANGUAGES).words)
