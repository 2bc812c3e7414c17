"""The same photographs over and over, altered, under two products, in any order: do they fall into one part?

``python -m tests.classifier.splits.arrivals``, or a line of ``make proof``. With ``--folder`` the pictures are those of
a labelled folder, of its validation part, else drawn ones.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage


@dataclass(frozen=True)
class Outcome:
    """What became of the pictures.

    Crossings are photographs with pictures in two parts, `leaks` is what the detector finds, and `missed` are those in
    two families of one part. A false family has pictures of different photographs.
    """

    photographs: int
    pictures: int
    seed: int
    crossings: int
    leaks: int
    missed: int
    false_families: int
    photographs_in_them: int
    largest_family: int
    left_out: int
    shares: dict[str, float]
    elapsed_seconds: float

    def is_clean(self) -> bool:
        """Whether nothing is on two sides."""
        return (self.crossings, self.leaks) == (0, 0)


def load_photographs(folder: Path | None, *, count: int, choose: np.random.Generator) -> list[PillowImage.Image]:
    """Return so many photographs, all different: of the folder's validation part, or drawn."""
    from tests.support.photographs import draw_photograph

    if folder is None:
        return [draw_photograph(choose) for _ in range(count)]
    with (folder / "labels.csv").open(newline="") as file:
        paths = [folder / row["path"] for row in csv.DictReader(file) if row["split"] == "validation"]
    chosen = choose.permutation(len(paths))[:count]
    return [PillowImage.open(paths[number]).convert("RGB") for number in chosen]


def let_arrive(photographs: list[PillowImage.Image], *, copies: int, seed: int) -> Outcome:
    """Store each photograph and altered copies of it, each under its own product, and assign them in any order."""
    from classifier.models import SplitAssignment, SplitPicture
    from classifier.splits.selectors import find_parts
    from classifier.splits.services import assign_parts
    from tests.classifier.splits.leaks import find_leaks
    from tests.support.factories import create_product
    from tests.support.photographs import alter, store

    started = time.monotonic()
    choose = np.random.default_rng(seed)
    source = {}
    for number, photograph in enumerate(photographs):
        images = [store(photograph), *(store(alter(photograph, choose)) for _ in range(copies))]
        # The copies come under a product each, so that nothing but the photograph says that they are one family.
        for image in images:
            create_product(images=[image])
            source[image.pk] = number
    order = choose.permutation(list(source)).tolist()
    while order:
        size = int(choose.choice([1, 2, 5, 20, 100]))
        assign_parts(order[:size])
        del order[:size]
    places = find_parts(list(source))
    parts, families, photographs_of = defaultdict(set), defaultdict(set), defaultdict(set)
    for image_id, place in places.items():
        parts[source[image_id]].add(place.part)
        families[source[image_id]].add(place.family)
        photographs_of[place.family].add(source[image_id])
    joined = [members for members in photographs_of.values() if len(members) > 1]
    counts = Counter(place.part for place in places.values())
    return Outcome(
        photographs=len(photographs),
        pictures=SplitPicture.objects.count(),
        seed=seed,
        crossings=sum(len(found) > 1 for found in parts.values()),
        leaks=len(find_leaks(list(source))),
        missed=sum(len(found) > 1 for found in families.values()),
        false_families=len(joined),
        photographs_in_them=sum(map(len, joined)),
        largest_family=max(map(len, photographs_of.values()), default=0),
        left_out=SplitPicture.objects.filter(
            assignment__in=SplitAssignment.objects.exclude(left_out_because="")
        ).count(),
        shares={part: round(count / len(places), 3) for part, count in sorted(counts.items())},
        elapsed_seconds=round(time.monotonic() - started, 1),
    )


def main() -> int:
    """Let photographs arrive, print what became of them, and return 1 if one is on two sides."""
    program = "python -m tests.classifier.splits.arrivals"
    parser = argparse.ArgumentParser(prog=program, description=main.__doc__)
    parser.add_argument("--pictures", type=int, default=500, help="different photographs (%(default)s)")
    parser.add_argument("--copies", type=int, default=3, help="altered ones of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of how they are altered and arrive (%(default)s)")
    parser.add_argument("--folder", type=Path, help="a folder with labels.csv: path, group, title, split")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arrivals-") as folder:
        os.environ |= {"VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings.base", "DATABASE_URL": ""}
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command

        settings.MEDIA_ROOT = Path(folder) / "media"
        call_command("migrate", verbosity=0)
        choose = np.random.default_rng(arguments.seed)
        photographs = load_photographs(arguments.folder, count=arguments.pictures, choose=choose)
        outcome = let_arrive(photographs, copies=arguments.copies, seed=arguments.seed)
    sys.stdout.write(json.dumps(asdict(outcome)) if arguments.json else f"{outcome}")
    sys.stdout.write("\n")
    return 0 if outcome.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
