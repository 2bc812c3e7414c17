"""An artefact is a folder: manifest.json, weights.safetensors and network.tflite; saved in one step, verified on load.

The manifest holds the SHA-256 of every file. Its own is held by whoever registered the artefact, and its signature
(HMAC-SHA256) lies beside it where a key is set. Nothing in the folder is read before its hash has been checked.
MODEL_CARD.md is for people: it follows from the manifest, and no program reads it.
"""

import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from classifier.ml.config import PreprocessingSpec
from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.model_card import build_model_card
from config.files import new_folder, write_file

DEFAULT_ARTEFACT: Final = Path(__file__).resolve().parent.parent / "artefacts" / "default"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.hmac"
WEIGHTS_FILE: Final = "weights.safetensors"
NETWORK_FILE: Final = "network.tflite"
MODEL_CARD_FILE: Final = "MODEL_CARD.md"
SCHEMA_VERSION: Final = 1
MAX_ARTEFACT_BYTES: Final = 10 * 1024 * 1024

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class ArtefactError(Exception):
    """An artefact cannot be used; the message says which file, what was expected and what was found.

    `reason` says it to whoever may not know of files, in a few words.
    """

    reason = "files missing or changed"


class ArtefactMissingError(ArtefactError):
    """The folder or one of its files is not there, or is not a plain file."""


class ArtefactTamperedError(ArtefactError):
    """A hash, a size or the signature is not the recorded one."""


class ArtefactFormatError(ArtefactError):
    """The manifest is not one that this version of the product reads, or the network is none."""

    reason = "network cannot be loaded"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is known of an artefact; the values are plain JSON.

    ``version`` names it for people. ``labels`` holds the lists of ``labels`` as they were at training. ``network`` and
    ``recipe`` rebuild architecture and training; ``backbone`` is file name and hashes of the pretrained weights, or
    None. ``metrics`` are those of the test pictures. ``files`` maps each file's name to its SHA-256.
    """

    version: str
    created_at: str
    command: str
    seed: int
    recipe: Mapping[str, Any]
    network: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    calibration: Mapping[str, Any]
    training: Mapping[str, Any]
    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any] | None
    parameters: int
    libraries: Mapping[str, str]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=lambda: {"garments": list(GARMENTS), "groups": list(GROUPS)})
    files: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def to_bytes(self) -> bytes:
        """The manifest's file, the same bytes for the same values."""
        return (json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False) + "\n").encode()

    def model_card(self) -> bytes:
        """The file that tells people what this artefact is, the same bytes for the same values."""
        return build_model_card(json.loads(self.to_bytes())).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The manifest of a file. Raises ``ArtefactFormatError`` for anything that is not one of this schema."""
        try:
            value = json.loads(content)
        except ValueError as error:
            raise ArtefactFormatError(f"expected {MANIFEST_FILE} to be JSON: {error}") from error
        names = {item.name for item in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            received = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise ArtefactFormatError(f"expected {MANIFEST_FILE} with the fields {sorted(names)}, received {received}")
        if value["schema_version"] != SCHEMA_VERSION:
            raise ArtefactFormatError(f"expected schema_version {SCHEMA_VERSION}, received {value['schema_version']!r}")
        if value["labels"] != {"garments": list(GARMENTS), "groups": list(GROUPS)}:
            raise ArtefactFormatError(f"expected the labels of this product in their order, received {value['labels']}")
        manifest = cls(**value)
        _validate_files(manifest.files)
        return manifest

    def preprocessing_spec(self) -> PreprocessingSpec:
        """How pictures become this network's input. Raises ``ArtefactFormatError`` when the manifest does not say."""
        try:
            return PreprocessingSpec.from_json(self.preprocessing)
        except (TypeError, ValueError) as error:
            raise ArtefactFormatError(f"{MANIFEST_FILE}: {error}") from error

    def calibration_values(self) -> Calibration:
        """How this network's logits become labels. Raises ``ArtefactFormatError`` when the manifest does not say."""
        try:
            return Calibration(**self.calibration)
        except (TypeError, ValueError) as error:
            raise ArtefactFormatError(f"{MANIFEST_FILE}: {error}") from error


@dataclass(frozen=True, slots=True)
class VerifiedArtefact:
    """A manifest and the content of the files it names, whose hashes were right when they were read."""

    manifest: Manifest
    contents: Mapping[str, bytes]


def build_file_hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The ``files`` of a manifest for the given contents."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def save_artefact(folder: Path, *, manifest: Manifest, contents: Mapping[str, bytes], key: bytes | None = None) -> None:
    """Write an artefact and its model card; the folder appears whole or not at all, and replaces one of the same name.

    ``contents`` maps file names to bytes and must match the manifest's hashes. With a ``key`` the manifest is signed.
    Raises ``ArtefactError`` when something does not match, and ``OSError`` when the disk refuses; nothing is left then.
    """
    if dict(manifest.files) != build_file_hashes(contents):
        raise ArtefactTamperedError("expected the manifest's file hashes to be those of the contents to be saved")
    _validate_files(manifest.files)
    manifest_bytes = manifest.to_bytes()
    files = {**contents, MANIFEST_FILE: manifest_bytes, MODEL_CARD_FILE: manifest.model_card()}
    total = sum(map(len, files.values()))
    if total > MAX_ARTEFACT_BYTES:
        raise ArtefactError(f"expected an artefact of at most {MAX_ARTEFACT_BYTES} bytes, received {total}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if key is not None:
        files[SIGNATURE_FILE] = _signature(manifest_bytes, key=key)
    with new_folder(folder, durable=True, replace=True) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)


def sign_artefact(folder: Path, *, key: bytes) -> None:
    """Write the signature beside a verified artefact's manifest, in one step."""
    verify_artefact(folder)
    signature = _signature(_read_plain_file(folder / MANIFEST_FILE), key=key)
    write_file(folder / SIGNATURE_FILE, signature, durable=True)


def write_model_card(folder: Path) -> None:
    """Write the model card of a verified artefact anew, in one step; for artefacts that an older version made."""
    write_file(folder / MODEL_CARD_FILE, verify_artefact(folder).manifest.model_card(), durable=True)


def manifest_sha256(folder: Path) -> str:
    """The SHA-256 of the manifest as it lies in the folder: what a registration records."""
    return hashlib.sha256(_read_plain_file(folder / MANIFEST_FILE)).hexdigest()


def load_manifest(folder: Path, *, expected_sha256: str | None = None, key: bytes | None = None) -> Manifest:
    """The manifest of a folder, checked against the recorded hash and, with a ``key``, against its signature.

    Raises an ``ArtefactError`` that says which check failed.
    """
    content = _read_plain_file(folder / MANIFEST_FILE)
    actual = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and not hmac.compare_digest(actual, expected_sha256):
        raise ArtefactTamperedError(f"{folder / MANIFEST_FILE}: expected SHA-256 {expected_sha256}, received {actual}")
    if key is not None:
        signature = _read_plain_file(folder / SIGNATURE_FILE)
        if not hmac.compare_digest(signature, _signature(content, key=key)):
            raise ArtefactTamperedError(f"{folder / SIGNATURE_FILE} is not the manifest's signature with this key")
    return Manifest.from_bytes(content)


def verify_artefact(folder: Path, *, expected_sha256: str | None = None, key: bytes | None = None) -> VerifiedArtefact:
    """The manifest and every file it names, each read once and hashed before anybody sees it.

    Raises ``ArtefactMissingError`` for a file that is missing or a link, ``ArtefactTamperedError`` for a wrong hash,
    ``ArtefactFormatError`` for a manifest of another form.
    """
    manifest = load_manifest(folder, expected_sha256=expected_sha256, key=key)
    contents = {}
    for name, expected in manifest.files.items():
        content = _read_plain_file(folder / name)
        actual = hashlib.sha256(content).hexdigest()
        if actual != expected:
            raise ArtefactTamperedError(f"{folder / name}: expected SHA-256 {expected}, received {actual}")
        contents[name] = content
    return VerifiedArtefact(manifest=manifest, contents=contents)


def artefact_bytes(folder: Path) -> int:
    """The size of the whole folder in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _validate_files(files: Mapping[str, str]) -> None:
    for name, sha256 in files.items():
        if not _PLAIN_NAME.fullmatch(name) or name in (MANIFEST_FILE, SIGNATURE_FILE, MODEL_CARD_FILE):
            raise ArtefactFormatError(f"expected plain file names in the manifest, received {name!r}")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ArtefactFormatError(f"expected the SHA-256 of {name}, received {sha256!r}")
    missing = {WEIGHTS_FILE, NETWORK_FILE} - set(files)
    if missing:
        raise ArtefactFormatError(f"expected the manifest to name {', '.join(sorted(missing))}, received {list(files)}")


def _signature(content: bytes, *, key: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode() + b"\n"


def _read_plain_file(path: Path) -> bytes:
    """The content of a file that is no link and not larger than an artefact may be."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtefactMissingError(f"expected a plain file at {path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArtefactMissingError(f"expected a plain file at {path}, found something else")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(MAX_ARTEFACT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_ARTEFACT_BYTES:
        raise ArtefactTamperedError(f"{path}: expected at most {MAX_ARTEFACT_BYTES} bytes")
    return content
