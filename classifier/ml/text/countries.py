"""In which languages a country's shops write, as far as the lexicon has them."""

from types import MappingProxyType
from typing import Final

_COUNTRIES: Final = {
    "en": "us gb ie au nz ca za in sg hk ph my ng ke gh mt jm tt bz zw ug tz zm bw na pk lk",
    "de": "de at ch li lu be",
    "nl": "nl be sr aw cw sx",
    "es": "es mx ar co cl pe ve ec gt cu bo do hn py sv ni cr pa uy gq pr ad",
    "fr": "fr be ch lu mc ca sn ci cm ma tn dz mg ht bf ml ne tg bj ga cg cd gn dj mq gp re gf pf nc",
    "it": "it ch sm va",
    "pt": "pt br ao mz cv gw st tl mo",
    "pl": "pl",
}

#: For each country, by its lower-case ISO 3166 code, the languages of its shops.
LANGUAGES_OF_COUNTRY: Final = MappingProxyType(
    {
        country: tuple(language for language, countries in _COUNTRIES.items() if country in countries.split())
        for country in sorted({country for countries in _COUNTRIES.values() for country in countries.split()})
    }
)
