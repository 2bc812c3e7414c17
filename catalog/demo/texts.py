"""Titles and descriptions of the demo's products; they know nothing of what a picture shows."""

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

_LANGUAGE_OF_COUNTRY: Final[Mapping[str, str]] = {
    "us": "en",
    "gb": "en",
    "de": "de",
    "es": "es",
    "fr": "fr",
    "it": "it",
}
_HOUSES: Final = (
    "Nordhavn",
    "Casa Lumera",
    "Atelier Brume",
    "Fjordline",
    "Harbour & Pine",
    "Maison Orée",
    "Studio Kestrel",
    "Linden & Sohn",
    "Oak Avenue",
    "Sol y Sal",
    "Villa Corvina",
    "Grünwald Neun",
)
_SERIES: Final = ("Series", "Edition", "Chapter", "Capsule", "Collection", "Line")
# Each sentence fits a shirt, a shoe and a bag alike.
_SENTENCES: Final[Mapping[str, tuple[str, ...]]] = {
    "en": (
        "An everyday favourite with a calm, clean shape.",
        "Made in small numbers and checked by hand.",
        "Goes with almost everything you already own.",
        "New this season, made to last many more.",
        "Quiet details, honest materials, no logo.",
        "Easy to care for; see the label inside.",
        "Ships within two days, returns are free.",
        "Light, sturdy and ready for the road.",
        "Part of our core range, back in stock.",
        "Designed in our studio beside the sea.",
    ),
    "de": (
        "Ein Liebling für jeden Tag in ruhiger, klarer Form.",
        "In kleiner Stückzahl gefertigt und von Hand geprüft.",
        "Passt zu fast allem, was Sie schon haben.",
        "Neu in dieser Saison, gemacht für viele weitere.",
        "Leise Details, ehrliche Materialien, kein Logo.",
        "Pflegeleicht; siehe das Etikett im Inneren.",
        "Versand in zwei Tagen, Rückgabe kostenlos.",
        "Leicht, robust und bereit für unterwegs.",
        "Teil unseres Stammsortiments, wieder auf Lager.",
        "Entworfen in unserem Atelier am Meer.",
    ),
    "es": (
        "Un favorito de cada día, de forma serena y limpia.",
        "Hecho en series pequeñas y revisado a mano.",
        "Combina con casi todo lo que ya tiene.",
        "Nuevo esta temporada, hecho para muchas más.",
        "Detalles discretos, materiales honestos, sin logotipo.",
        "Fácil de cuidar; vea la etiqueta interior.",
        "Envío en dos días, devolución gratuita.",
        "Ligero, resistente y listo para viajar.",
        "Parte de nuestra gama básica, de nuevo en stock.",
        "Diseñado en nuestro estudio junto al mar.",
    ),
    "fr": (
        "Un favori de tous les jours, à la ligne calme et nette.",
        "Fabriqué en petite série et contrôlé à la main.",
        "S'accorde avec presque tout ce que vous avez déjà.",
        "Nouveau cette saison, fait pour bien d'autres.",
        "Détails discrets, matières honnêtes, sans logo.",
        "Facile d'entretien ; voir l'étiquette à l'intérieur.",
        "Expédié sous deux jours, retours gratuits.",
        "Léger, solide et prêt pour la route.",
        "De notre gamme permanente, de nouveau en stock.",
        "Dessiné dans notre atelier au bord de la mer.",
    ),
    "it": (
        "Un preferito di ogni giorno, dalla linea calma e pulita.",
        "Prodotto in piccola serie e controllato a mano.",
        "Si abbina a quasi tutto ciò che già possiede.",
        "Nuovo in questa stagione, fatto per molte altre.",
        "Dettagli discreti, materiali onesti, nessun logo.",
        "Facile da curare; vedere l'etichetta interna.",
        "Spedito in due giorni, resi gratuiti.",
        "Leggero, robusto e pronto per il viaggio.",
        "Della nostra gamma base, di nuovo disponibile.",
        "Disegnato nel nostro studio in riva al mare.",
    ),
}
_US_SHARE: Final = 0.85
_OTHER_COUNTRY_SHARE: Final = 0.22
_UNTRANSLATED_SHARE: Final = 0.12
_SILENT_SHARE: Final = 0.02


def write_texts(count: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield `title` and `descriptions`, as in a catalogue file, of `count` products with different titles.

    A retailer writes in one language and translates for its countries. Some products have no text for 'us', some no
    translation yet, some no text at all.
    """
    stream = random.Random(f"demo texts {seed}")  # noqa: S311 - nothing secret
    names = [f"{house} {series} {number}" for house in _HOUSES for series in _SERIES for number in range(1, 41)]
    for title in stream.sample(names, count):
        yield {"title": title, "descriptions": _write_descriptions(stream)}


def _write_descriptions(stream: random.Random) -> list[dict[str, str | None]]:
    own_language = stream.choice(sorted(_SENTENCES))
    sentences = stream.sample(range(len(_SENTENCES[own_language])), stream.choice([1, 1, 2]))
    languages = {
        country: language
        for country, language in _LANGUAGE_OF_COUNTRY.items()
        if stream.random() < (_US_SHARE if country == "us" else _OTHER_COUNTRY_SHARE)
    }
    if stream.random() < _SILENT_SHARE:
        return []
    return [
        {
            "country_code": country,
            "original_text": _join(sentences, language=own_language),
            "translated_text": (
                None
                if language == own_language or stream.random() < _UNTRANSLATED_SHARE
                else _join(sentences, language=language)
            ),
        }
        for country, language in languages.items()
    ]


def _join(sentences: list[int], *, language: str) -> str:
    return " ".join(_SENTENCES[language][sentence] for sentence in sentences)
