"""What is in a catalogue file, for a person who imports it: how many pictures, from where, what looks wrong."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from django.conf import settings

from catalog.fetching.addresses import build_networks, find_literal_address, is_address_allowed
from catalog.interchange.cells import is_picture_name
from catalog.interchange.records import ProductRecord, RowError
from catalog.pictures.storage import StorageError, is_stored
from catalog.values import find_host, is_media_name

#: Different addresses, and names in the storage, that are looked at; more are not counted.
_MAX_ADDRESSES: Final = 100_000
_MAX_NAMES: Final = 200
_SHOWN_HOSTS: Final = 5
#: A picture of so many products is hardly that of any of them.
_MANY_PRODUCTS: Final = 20
_HOST_WITHOUT_SCHEME: Final = re.compile(
    r"(?:www\.|[a-z0-9-]+\.(?:com|net|org|shop|store|de|fr|it|es|uk)/)", re.IGNORECASE
)


class Observations:
    """Counts of the products that pass through `watch`, and what looks wrong with their pictures."""

    def __init__(self, *, is_there: Callable[[str], bool] = is_stored) -> None:
        self.products = self.images = self.without_image = self.most_images = 0
        self.hosts: Counter[str] = Counter()
        self.countries: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()
        self._oddities: dict[str, tuple[int, str, int]] = {}
        self._names_left = _MAX_NAMES
        self._is_there = is_there
        self._networks = build_networks(settings.FETCH_ALLOWED_NETWORKS)

    def watch(self, rows: Iterable[ProductRecord | RowError]) -> Iterator[ProductRecord | RowError]:
        """Yield the rows as they are."""
        for row in rows:
            if isinstance(row, ProductRecord):
                self._look_at(row)
            yield row

    def _look_at(self, record: ProductRecord) -> None:
        images = record.images or ()
        self.products += 1
        self.images += len(images)
        self.without_image += not images
        self.most_images = max(self.most_images, len(images))
        self.countries.update(list(record.descriptions))
        for url in dict.fromkeys(images):
            is_new = url not in self._addresses
            if not is_new or len(self._addresses) < _MAX_ADDRESSES:
                self._addresses[url] += 1
            if is_new and (oddity := self._judge(url)):
                count, example, line = self._oddities.get(oddity, (0, url, record.line))
                self._oddities[oddity] = count + 1, example, line

    def _judge(self, url: str) -> str:
        """Count the address's host and return what is wrong with the address, or nothing."""
        if not is_media_name(url):
            host = find_host(url)
            if host in self.hosts or len(self.hosts) < _MAX_ADDRESSES:
                self.hosts[host] += 1
            address = find_literal_address(host)
            is_public = "." in host if address is None else is_address_allowed(address, allowed_networks=self._networks)
            return "" if is_public or self._networks else "has a host that is not public, so it will not be fetched"
        if _HOST_WITHOUT_SCHEME.match(url):
            return "looks like a web address without https://, and is taken for a name in the storage"
        if self._names_left:
            self._names_left -= 1
            try:
                if not self._is_there(url):
                    return "is neither in the ZIP nor in the storage of pictures"
            except StorageError:
                self._names_left = 0
        return "" if is_picture_name(url) else "does not end as a picture's name does"

    def describe(self) -> list[str]:
        """Return what there is, a sentence each."""
        if not self.products:
            return []
        without = f"; {self.without_image:,} without one" if self.without_image else ""
        average = f"{self.images / self.products:.1f} a product, {self.most_images:,} at most"
        sentences = [f"{_count(self.products, 'product')}, {_count(self.images, 'picture')}: {average}{without}."]
        if self.hosts:
            rest = f" and {len(self.hosts) - _SHOWN_HOSTS:,} others" if len(self.hosts) > _SHOWN_HOSTS else ""
            sentences.append(f"Hosts: {_list(self.hosts, _SHOWN_HOSTS)}{rest}.")
        repeated = sum(number > 1 for number in self._addresses.values())
        if repeated:
            sentences.append(f"{_count(repeated, 'picture')} in more than one product.")
        if self.countries:
            sentences.append(f"Texts: {_list(self.countries, len(self.countries))}.")
        return sentences

    def warn(self) -> list[str]:
        """Return what looks wrong, a sentence each."""
        warnings = [
            f"{example} (line {line:,}) {oddity}." + (f" So it is with {count - 1:,} more." if count > 1 else "")
            for oddity, (count, example, line) in self._oddities.items()
        ]
        for url, number in self._addresses.most_common(1):
            if number >= _MANY_PRODUCTS:
                warnings.append(f"{number:,} products show the same picture, {url}.")
        return warnings


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _list(counts: Counter[str], maximum: int) -> str:
    return ", ".join(f"{name} ({number:,})" for name, number in counts.most_common(maximum))
