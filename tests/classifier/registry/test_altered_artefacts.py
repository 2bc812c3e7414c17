"""A small run of the proof that an altered byte of an artefact is found."""

from pathlib import Path
from typing import Any

import pytest

from tests.classifier.registry.altered_artefacts import alter_artefacts


@pytest.mark.django_db
def test_an_altered_byte_is_found_wherever_it_is(settings: Any, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path
    assert alter_artefacts(20, seed=1).is_clean()
