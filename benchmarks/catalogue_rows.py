"""A catalogue of any size for a benchmark, the same at every run: its file, and what labelling would have left."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifier.ml.types import COLOUR_FEATURES, EMBEDDING_SIZE, FEATURE_TYPE

IMAGES_PER_PRODUCT: Final = 2
DESCRIPTIONS_PER_PRODUCT: Final = 3
#: A word in the titles of a tenth of the products, one in those of one of a thousand, one that stands nowhere.
COMMON_WORD, RARE_WORD, UNKNOWN_WORD = "linen", "chiffon", "quixotic"
#: Groups by their share of the labelled products, one of them rare.
GROUP_SHARES: Final = {"Upper part": 0.55, "Footwear": 0.3, "Bottom part": 0.11, "One piece": 0.039, "Bags": 0.001}
#: The share of the products, the newest ones, that nobody looked at yet.
PENDING_SHARE: Final = 0.05
#: No label of this group is surer than this, which the frequencies of single columns do not tell.
CAPPED_GROUP, HIGHEST_CONFIDENCE = "Bottom part", 0.97

HOUSES: Final = ("Fjordblick", "Maison Sable", "Kestrel Row", "Altamar", "Grey Heron", "Vela Nera", "Ostwind")
FABRICS: Final = ("cotton", COMMON_WORD, "wool", "denim", "suede", "canvas", "jersey", "velvet", "tweed", "leather")
PIECES: Final = ("shirt", "pullover", "coat", "trousers", "dress", "sandals", "sneakers", "boots", "bag", "T-shirt")
COLOURS: Final = ("sand", "ink", "moss", "rust", "chalk", "plum", "slate", "coral", "olive", "navy", "black")
SENTENCES: Final = {
    "us": (
        "Cut wide at the shoulder and gathered at the waist.",
        "Washed before it is sewn, so that it keeps its size.",
        "The lining is made of what the mill has left over.",
        "Two pockets outside and a hidden one within.",
        "Wears in over the first weeks and stays for years.",
    ),
    "de": (
        "Weit in der Schulter geschnitten, in der Taille gerafft.",
        "Vor dem Nähen gewaschen, damit die Größe bleibt.",
        "Das Futter ist aus dem, was der Weberei übrig bleibt.",
        "Zwei Taschen außen und eine verborgene innen.",
        "Trägt sich in den ersten Wochen ein und hält Jahre.",
    ),
    "fr": (
        "Coupe large à l'épaule, froncée à la taille.",
        "Lavé avant d'être cousu, pour garder sa taille.",
        "La doublure vient des restes de la filature.",
        "Deux poches à l'extérieur et une cachée dedans.",
        "Se fait en quelques semaines et dure des années.",
    ),
}
_COUNTRIES: Final = tuple(SENTENCES)

_FEATURES_AT_ONCE: Final = 20_000
#: Group, garment, confidence, whether it abstained, and probabilities of a classification.
_SAID: Final = "\t".join(["Bags", "Bag", "0.9", "f", "[0,0,0,0,0,0,0,0,1,0]"])

# The version that every label came from, and what each label was made of. `first` chooses the group, `second` garment
# and confidence, `third` the status: three numbers from 0 to 1 that look independent.
_LABELS: Final = (
    "INSERT INTO classifier_base (digest, name) VALUES (decode(repeat('0', 64), 'hex'), 'benchmark')",
    """INSERT INTO classifier_modelversion (base_id, name, folder, manifest_sha256, recipe, seed, metrics, stage)
       SELECT id, 'benchmark', 'benchmark', repeat('0', 64), 'default', 0, '{}', 'production' FROM classifier_base""",
    """CREATE TEMPORARY TABLE chosen AS
       SELECT productid AS product_id, imageid AS image_id,
              ('x' || substr(digits, 1, 8))::bit(32)::bigint / 4294967296.0 AS first,
              ('x' || substr(digits, 9, 8))::bit(32)::bigint / 4294967296.0 AS second,
              ('x' || substr(digits, 17, 8))::bit(32)::bigint / 4294967296.0 AS third
       FROM productimages CROSS JOIN md5(productid::text) AS digits
       WHERE imageindex = 0 AND productid <= %(labelled)s""",
    "TRUNCATE classifier_productlabel",
    """INSERT INTO classifier_productlabel (product_id, image_id, "group", garment, status, source)
       SELECT productid, imageid, '', '', 'pending', '' FROM productimages
       WHERE imageindex = 0 AND productid > %(labelled)s""",
    """INSERT INTO classifier_productlabel
           (product_id, image_id, "group", garment, confidence, status, source, reason, model_version_id, labelled_at)
       SELECT product_id, image_id, CASE WHEN failed THEN '' ELSE name END,
              CASE WHEN failed THEN '' ELSE garments[1 + floor(second * cardinality(garments))::int] END,
              CASE WHEN failed THEN NULL WHEN reviewed THEN 1 ELSE confidence END,
              CASE WHEN failed THEN 'failed' WHEN reviewed THEN 'reviewed'
                   WHEN confidence < 0.6 THEN 'needs_review' ELSE 'labelled' END,
              CASE WHEN failed THEN '' WHEN reviewed THEN 'person' ELSE 'machine' END,
              CASE WHEN failed THEN 'not_found' WHEN NOT reviewed AND confidence < 0.6 THEN 'unsure' ELSE '' END,
              (SELECT id FROM classifier_modelversion), timestamptz '2026-01-01' + product_id * interval '1 second'
       FROM chosen
       JOIN unnest(%(groups)s, %(starts)s, %(ends)s, %(caps)s) AS share (name, share_start, share_end, cap)
            ON first >= share_start AND first < share_end
       JOIN (VALUES ('Upper part', ARRAY['T-shirt/top', 'Pullover', 'Coat', 'Shirt']),
                    ('Footwear', ARRAY['Sandal', 'Sneaker', 'Ankle boot']), ('Bottom part', ARRAY['Trouser']),
                    ('One piece', ARRAY['Dress']), ('Bags', ARRAY['Bag'])) AS garment (group_name, garments)
            ON group_name = name
       CROSS JOIN LATERAL (SELECT third < 0.005 AS failed, third >= 0.99 AND name <> %(capped)s AS reviewed,
                                  LEAST(1 - 0.65 * power(1 - second, 4), cap) AS confidence) AS outcome""",
    """INSERT INTO catalog_storedpicture
           (image_id, url, sha256, storage_name, etag, last_modified, width, height, fetched_at)
       SELECT image_id, url, encode(sha256(image_id::text::bytea), 'hex'), 'pictures/' || image_id || '.jpg', '', '',
              60, 80, now()
       FROM chosen JOIN image ON image.id = image_id""",
    "DROP TABLE chosen",
)


def write_catalogue(path: Path, *, products: int) -> None:
    """Write a JSON Lines file of products 1, 2, 3, ... with two images and three descriptions each."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(1, products + 1):
            file.write(_write_line(number))


def _write_line(number: int) -> str:
    title = (
        f"{_pick(HOUSES, number, 1)} {_pick(FABRICS, number, 2)} {_pick(PIECES, number, 3)},"
        f" {_pick(COLOURS, number, 4)}{f' {RARE_WORD}' if number % 1_000 == 7 else ''} {number:07d}"
    )
    retailer = _pick(_COUNTRIES, number, 5)
    descriptions = [
        {
            "country_code": country,
            "original_text": _write_text(retailer, number),
            "translated_text": None if country == retailer else _write_text(country, number),
        }
        for country in _COUNTRIES
    ]
    images = [
        f"https://shop-{number % 40}.example/pictures/{number}/{index}.jpg" for index in range(IMAGES_PER_PRODUCT)
    ]
    product = {"id": number, "title": title, "images": images, "descriptions": descriptions}
    return json.dumps(product, ensure_ascii=False) + "\n"


def _write_text(country: str, number: int) -> str:
    sentences = SENTENCES[country]
    return f"{_pick(sentences, number, 6)} {_pick(sentences, number, 7)} Nr. {number}."


def _pick(choices: tuple[str, ...], number: int, place: int) -> str:
    """Return one of the choices: which one looks random over the numbers and over the places."""
    mixed = (number * 16 + place) * 0x9E3779B97F4A7C15 % 2**64
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    return choices[(mixed ^ mixed >> 31) % len(choices)]


def label_products(*, products: int) -> None:
    """Give all products but the newest a label and a picture of our own, as labelling would have; then analyse.

    Nobody reads the pictures' files, so there are none.
    """
    # Django is set up by now.
    from django.db import connection

    ends = [sum(list(GROUP_SHARES.values())[: place + 1]) for place in range(len(GROUP_SHARES))]
    parameters: dict[str, Any] = {
        "labelled": int(products * (1 - PENDING_SHARE)),
        "groups": list(GROUP_SHARES),
        "starts": [0.0, *ends[:-1]],
        "ends": [*ends[:-1], 1.0],
        "caps": [HIGHEST_CONFIDENCE if group == CAPPED_GROUP else 1.0 for group in GROUP_SHARES],
        "capped": CAPPED_GROUP,
    }
    with connection.cursor() as cursor:
        for statement in _LABELS:
            cursor.execute(statement, parameters if "%(" in statement else None)
        cursor.execute("VACUUM ANALYZE")


def _hash(image_id: int) -> str:
    """Return the content hash that `label_products` gives an image's picture."""
    return hashlib.sha256(str(image_id).encode()).hexdigest()


class FeatureSource:
    """What a network would see in one picture after the other: directions, the same at every run.

    Pictures differ along few axes more than along others: of 5,604 of a shop and of phones, 32 of 128 principal axes
    have 84 % of the variance of what the default's base sees. Here they have 81 %: the variance along axis k is
    proportional to k^-1.2. The axes are rotated at random. With `even` all have the same.
    """

    def __init__(self, size: int, *, even: bool = False) -> None:
        """Directions of `size` numbers."""
        self._generator = np.random.default_rng(0)
        axes, _ = np.linalg.qr(np.random.default_rng(size).standard_normal((size, size)))
        spread = np.arange(1, size + 1) ** (0.0 if even else -0.6)
        self._axes = (spread[:, None] * axes).astype(np.float32)

    def draw(self, rows: int) -> NDArray[np.float16]:
        """Return the next directions, float16[rows, size] of length 1."""
        vectors = self._generator.standard_normal((rows, len(self._axes)), dtype=np.float32) @ self._axes
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), FEATURE_TYPE)


def write_features(*, products: int) -> None:
    """Give both images of every labelled product what a network would have seen in them, and said of them."""
    # Django is set up by now.
    from django.db import connection

    from classifier.models import LabellingRun, ModelVersion

    version = ModelVersion.objects.get()
    run = LabellingRun.objects.create(model_version=version, state=LabellingRun.State.DONE)
    source = FeatureSource(EMBEDDING_SIZE + COLOUR_FEATURES)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(imageid ORDER BY imageid) FROM productimages WHERE productid <= %s",
            [int(products * (1 - PENDING_SHARE))],
        )
        (image_ids,) = cursor.fetchone()
        for start in range(0, len(image_ids), _FEATURES_AT_ONCE):
            ids = image_ids[start : start + _FEATURES_AT_ONCE]
            vectors = source.draw(len(ids))
            said = (f"{id}\t{version.pk}\t{run.pk}\t{_hash(id)}\t{_SAID}\t2026-01-01\n" for id in ids)
            seen = (
                f"{version.base_id}\t\\\\x{_hash(id)}\t\\\\x{vector.tobytes().hex()}\t\\\\x{'00' * 20}\tf\tf\t1\n"
                for id, vector in zip(ids, vectors, strict=True)
            )
            cursor.copy_expert(
                """COPY classifier_classification (image_id, model_version_id, run_id, sha256, "group", garment,
                   confidence, abstained, garment_probabilities, created_at) FROM STDIN""",
                io.StringIO("".join(said)),
            )
            cursor.copy_expert(
                """COPY classifier_picturefeatures (base_id, sha256, features, logits, blank, canonical, views)
                   FROM STDIN""",
                io.StringIO("".join(seen)),
            )
        cursor.execute("VACUUM ANALYZE classifier_classification, classifier_picturefeatures")
