"""How images are published, signed and started, with stand-ins for the programs that need a registry."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.light import REPOSITORY

IMAGE = "registry.example/shop/catalogue"
DIGESTS = {"LIGHT": f"sha256:{'1a' * 32}", "TRAINING": f"sha256:{'2b' * 32}"}
SIGNER = "https://example.org/release.yaml@refs/tags/v1"
#: Writes down how it was called; what fails is named by FAILS, as a part of that.
STAND_IN = """#!/bin/sh
line="$(basename "$0") $*"
echo "$line" >> "$CALLS"
[ "$1" = login ] && { echo "password: $(cat)" >> "$CALLS"; }
[ "$2" = up ] && { echo "images: $LIGHT_IMAGE $TRAINING_IMAGE" >> "$CALLS"; }
case "$line" in *"${FAILS:-nothing fails}"*) exit 1 ;; esac
case "$line" in
  *inspect*:light) echo "registry.example/shop/catalogue@$LIGHT" ;;
  *inspect*:training) echo "registry.example/shop/catalogue@$TRAINING" ;;
esac
exit 0
"""


def run_make(folder: Path, target: str, **variables: str) -> tuple[int, str, list[str]]:
    """Make the target, or targets; their exit status, what it said, and the calls of the stand-ins."""
    programs, calls = folder / "programs", folder / "calls"
    programs.mkdir()
    for name in ("docker", "cosign"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    calls.touch()
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls), "IMAGE": IMAGE}
    made = subprocess.run(
        ["make", "--silent", *target.split()],
        cwd=REPOSITORY,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return made.returncode, made.stderr, calls.read_text().splitlines()


def test_what_is_published_is_named_by_its_digest(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    status, said, calls = run_make(
        tmp_path, "push", **DIGESTS, GITHUB_OUTPUT=str(outputs), REGISTRY_USER="somebody", REGISTRY_TOKEN="secret"
    )
    assert status == 0, said
    # A password among the arguments would be seen by every program of the machine.
    assert calls[:2] == ["docker login --username somebody --password-stdin registry.example", "password: secret"]
    assert calls[2::2] == [f"docker push --quiet {IMAGE}:{target}" for target in ("light", "training")]
    assert outputs.read_text().splitlines() == [f"light={DIGESTS['LIGHT']}", f"training={DIGESTS['TRAINING']}"]


@pytest.mark.parametrize("fails", ["push --quiet", "inspect"])
def test_an_image_that_is_not_published_has_no_digest(fails: str, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    status, _, _ = run_make(tmp_path, "push", **DIGESTS, GITHUB_OUTPUT=str(outputs), FAILS=fails)
    assert status != 0
    assert not outputs.exists()


def test_both_images_are_signed_by_their_digests_with_their_sboms(tmp_path: Path) -> None:
    status, said, calls = run_make(tmp_path, "sign", **DIGESTS, TMPDIR=str(tmp_path))
    assert status == 0, said
    sbom = calls[2].split()[-2]
    assert not Path(sbom).exists()
    assert calls == [
        call
        for image in (f"{IMAGE}@{digest}" for digest in DIGESTS.values())
        for call in (
            f"cosign sign --yes {image}",
            f"docker run --rm {image} cat /opt/venv/sbom.cdx.json",
            f"cosign attest --yes --type cyclonedx --predicate {sbom} {image}",
        )
    ]


@pytest.mark.parametrize("base", ["", "docker.io/library/python:3.11-slim-bookworm", "python@3.11"])
def test_no_release_stands_on_a_base_without_a_digest(base: str, tmp_path: Path) -> None:
    status, said, calls = run_make(tmp_path, "pinned-base", BASE=base)
    assert status != 0
    assert "Expected the base by its digest" in said
    assert calls == []


def test_a_release_stands_on_the_base_whose_digest_it_was_given(tmp_path: Path) -> None:
    base = "docker.io/library/python@sha256:3c"
    programs = {"BASE": base, "BUILDER": "docker", "REVISION": "1a2b3c"}
    status, said, calls = run_make(tmp_path, "pinned-base images", **programs)
    assert status == 0, said
    assert calls == [
        f"docker build --build-arg BASE={base} --build-arg REVISION=1a2b3c --target {target} --tag {IMAGE}:{target} ."
        for target in ("light", "training")
    ]


def test_what_is_signed_by_the_release_is_started(tmp_path: Path) -> None:
    status, said, calls = run_make(tmp_path, "deploy", **DIGESTS, SIGNED_BY=SIGNER)
    assert status == 0, said
    verified = [call for call in calls if call.startswith("cosign verify")]
    assert [call.split()[-1] for call in verified] == [f"{IMAGE}@{digest}" for digest in DIGESTS.values()]
    assert all(f"--certificate-identity {SIGNER} " in call for call in verified)
    assert calls[len(verified) :] == [
        "docker compose up --detach --wait --remove-orphans",
        f"images: {IMAGE}@{DIGESTS['LIGHT']} {IMAGE}@{DIGESTS['TRAINING']}",
    ]


@pytest.mark.parametrize("digest", DIGESTS.values())
def test_an_image_that_somebody_else_signed_is_not_started(digest: str, tmp_path: Path) -> None:
    status, _, calls = run_make(tmp_path, "deploy", **DIGESTS, SIGNED_BY=SIGNER, FAILS=digest)
    assert status != 0
    assert not any(call.startswith("docker") for call in calls)


@pytest.mark.parametrize("target", ["sign", "deploy"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"LIGHT": DIGESTS["LIGHT"]},
        DIGESTS | {"TRAINING": "latest"},
        DIGESTS | {"TRAINING": "sha256:2b"},
        DIGESTS | {"LIGHT": f"{DIGESTS['LIGHT']} other"},
    ],
)
def test_no_image_goes_on_without_a_digest(target: str, given: dict[str, str], tmp_path: Path) -> None:
    status, said, calls = run_make(tmp_path, target, **given, SIGNED_BY=SIGNER)
    assert status != 0
    assert "Expected the images' digests" in said
    assert calls == []
