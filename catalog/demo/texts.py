"""Titles and descriptions of the demo's products. A third of the titles name what is shown, some wrongly."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from catalog.demo.things import THINGS
from classifier.ml.labels import GROUP_OF_GARMENT

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
#: What titles call the garments, and things that are none of the five groups, in the languages of their countries.
_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "T-shirt/top": "T-shirt", "Trouser": "Trousers", "Pullover": "Jumper", "Dress": "Dress", "Coat": "Coat",
        "Sandal": "Sandals", "Shirt": "Shirt", "Sneaker": "Trainers", "Bag": "Handbag", "Ankle boot": "Ankle Boots",
        "belt": "Belt", "watch": "Watch", "umbrella": "Umbrella", "glasses": "Sunglasses", "tie": "Tie", "ring": "Ring",
    },
    "de": {
        "T-shirt/top": "Langarmshirt", "Trouser": "Hose", "Pullover": "Strickpullover", "Dress": "Kleid",
        "Coat": "Mantel", "Sandal": "Sandalen", "Shirt": "Hemd", "Sneaker": "Turnschuhe", "Bag": "Handtasche",
        "Ankle boot": "Stiefeletten", "belt": "Ledergürtel", "watch": "Armbanduhr", "umbrella": "Regenschirm",
        "glasses": "Sonnenbrille", "tie": "Krawatte", "ring": "Fingerring",
    },
    "es": {
        "T-shirt/top": "Camiseta", "Trouser": "Pantalón", "Pullover": "Suéter", "Dress": "Vestido", "Coat": "Abrigo",
        "Sandal": "Sandalias", "Shirt": "Camisa", "Sneaker": "Zapatillas", "Bag": "Bolso de mano",
        "Ankle boot": "Botines", "belt": "Cinturón", "watch": "Reloj", "umbrella": "Paraguas",
        "glasses": "Gafas de sol", "tie": "Corbata", "ring": "Anillo",
    },
    "fr": {
        "T-shirt/top": "Débardeur", "Trouser": "Pantalon", "Pullover": "Pull", "Dress": "Robe", "Coat": "Manteau",
        "Sandal": "Sandales", "Shirt": "Chemise", "Sneaker": "Baskets", "Bag": "Sac à main", "Ankle boot": "Bottines",
        "belt": "Ceinture", "watch": "Montre", "umbrella": "Parapluie", "glasses": "Lunettes de soleil",
        "tie": "Cravate", "ring": "Bague",
    },
    "it": {
        "T-shirt/top": "Maglietta", "Trouser": "Pantaloni", "Pullover": "Maglione", "Dress": "Abito",
        "Coat": "Cappotto", "Sandal": "Sandali", "Shirt": "Camicia", "Sneaker": "Scarpe da ginnastica",
        "Bag": "Borsa", "Ankle boot": "Stivaletti", "belt": "Cintura", "watch": "Orologio", "umbrella": "Ombrello",
        "glasses": "Occhiali da sole", "tie": "Cravatta", "ring": "Anello",
    },
}  # fmt: skip
_NAMED_SHARE: Final = 1 / 3
#: Of so many titles that name a garment one names one of another group.
_WRONG_ONE_OF: Final = 50
_US_SHARE: Final = 0.85
_OTHER_COUNTRY_SHARE: Final = 0.22
_UNTRANSLATED_SHARE: Final = 0.12
_SILENT_SHARE: Final = 0.02


def write_texts(shown: Sequence[str | None], *, seed: int) -> Iterator[dict[str, Any]]:
    """Yield `title` and `descriptions`, as in a catalogue file, of products that show these garments or things.

    A retailer writes in one language and translates for its countries. Some products have no text for 'us', some no
    translation yet, some no text at all. No two titles are alike. A title that names something does so in a language
    of the product's countries, or in English.
    """
    stream = random.Random(f"demo texts {seed}")  # noqa: S311 - nothing secret
    names = [f"{house} {series} {number}" for house in _HOUSES for series in _SERIES for number in range(1, 41)]
    # Of its own, so that the other texts do not hang on what is shown.
    naming = random.Random(f"demo names {seed}")  # noqa: S311 - nothing secret
    named = 0
    for thing, name in zip(shown, stream.sample(names, len(shown)), strict=True):
        descriptions = _write_descriptions(stream)
        title = name
        if thing is not None and (naming.random() < _NAMED_SHARE or thing in THINGS):
            named += 1
            is_wrong = thing not in THINGS and named % _WRONG_ONE_OF == 0
            title = _name(thing, name, is_wrong=is_wrong, descriptions=descriptions, stream=naming)
        yield {"title": title, "descriptions": descriptions}


def _name(
    thing: str, name: str, *, is_wrong: bool, descriptions: Sequence[Mapping[str, Any]], stream: random.Random
) -> str:
    """Return the title with a word for the thing, or for a garment of another group."""
    spoken = sorted({_LANGUAGE_OF_COUNTRY[text["country_code"]] for text in descriptions})
    words = _NAMES[stream.choice(spoken or ["en"])]
    others = [name for name in words if GROUP_OF_GARMENT.get(name) not in (None, GROUP_OF_GARMENT.get(thing))]
    word = words[stream.choice(others) if is_wrong else thing]
    house, _, rest = name.rpartition(" ")
    return f"{house} {word} {rest}"


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
