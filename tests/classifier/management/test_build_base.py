"""`build_base`: what its second branch starts from."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from classifier.management.commands import build_base


@pytest.mark.parametrize(
    "setting, option, weights",
    [
        ("", None, "imagenet"),
        # ImageNet's are pinned and a file's are not: whoever names a file in the settings says where ImageNet's lie.
        ("/weights.h5", None, "imagenet"),
        # Nothing is downloaded then, and a branch of random weights is refused.
        ("none", None, "none"),
        ("none", "imagenet", "imagenet"),
        ("", "/weights.h5", "/weights.h5"),
    ],
)
def test_the_settings_say_where_imagenets_weights_are(
    settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, setting: str, option: str | None, weights: str
) -> None:
    settings.BACKBONE_WEIGHTS = setting
    asked = []

    def build(source: Path, **options: object) -> None:
        asked.append(options["weights"])
        raise ValueError("that is enough")

    monkeypatch.setattr(build_base, "build_base", build)
    monkeypatch.setattr(build_base, "_read_pictures", lambda folder, split: [])
    with pytest.raises(CommandError, match="that is enough"):
        call_command("build_base", tmp_path, pictures=[tmp_path], output=tmp_path / "out", backbone_weights=option)
    assert asked == [weights]
