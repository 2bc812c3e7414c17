"""Artefacts of which one byte was altered: ``python -m tests.classifier.registry.altered_artefacts``.

Each time another byte of another file of the shipped artefact, or of its base, is another one, or the file is a byte
longer or shorter; each has to be found when the version is verified. A line of ``make proof``.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import django


@dataclass(frozen=True)
class Outcome:
    """How many alterations there were, and how many were found."""

    altered: int
    found: int
    seed: int
    elapsed_seconds: float

    def is_clean(self) -> bool:
        """Whether every one was found."""
        return self.found == self.altered


def alter(file: Path, *, chance: random.Random) -> bytes:
    """Alter a file by a byte; return what it was."""
    content = file.read_bytes()
    place, way = chance.randrange(len(content)), chance.choice(("other", "other", "longer", "shorter"))
    other = bytes([content[place] ^ chance.randrange(1, 256)])
    rest = content[place + (way != "longer") :]
    file.write_bytes(content[:place] + (b"" if way == "shorter" else other) + rest)
    return content


def alter_artefacts(number: int, *, seed: int) -> Outcome:
    """Register the shipped artefact, alter its copy so often, and count what verifying finds."""
    from django.conf import settings

    from classifier.ml.artefacts import DEFAULT_ARTEFACT, MODEL_CARD_FILE, ArtefactError
    from classifier.registry.services import register_model_version, verify_registered_artefact

    started, chance, found = time.monotonic(), random.Random(seed), 0
    version = register_model_version(DEFAULT_ARTEFACT)
    # The model card is for people: nothing of the product reads it.
    files = [path for path in sorted(Path(settings.ARTEFACTS_DIR).glob("*/*")) if path.name != MODEL_CARD_FILE]
    for _ in range(number):
        file = chance.choice(files)
        before = alter(file, chance=chance)
        try:
            verify_registered_artefact(version)
        except ArtefactError:
            found += 1
        file.write_bytes(before)
    verify_registered_artefact(version)
    return Outcome(number, found, seed, round(time.monotonic() - started, 1))


def main() -> int:
    """Alter artefacts, print how many were found, return 1 if one was not."""
    program = "python -m tests.classifier.registry.altered_artefacts"
    parser = argparse.ArgumentParser(prog=program, description=main.__doc__)
    parser.add_argument("--alterations", type=int, default=1000, help="how many there are (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="altered-") as folder:
        os.environ |= {"VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings.base", "DATABASE_URL": ""}
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        outcome = alter_artefacts(arguments.alterations, seed=arguments.seed)
    sys.stdout.write((json.dumps(asdict(outcome)) if arguments.json else f"{outcome}") + "\n")
    return 0 if outcome.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
