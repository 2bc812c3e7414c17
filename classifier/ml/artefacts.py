"""An artefact is a folder of a manifest and the files that it names; saved in one step, verified on load.

A *base* has networks: manifest.json, weights.safetensors, network.tflite, and colour.tflite if it looks at colours too.
A *head* says what follows from what a base saw: its manifest names the base by the SHA-256 of the base's own, and may
name heads.safetensors. A base that is used by itself is its own head, as all artefacts once were.

The manifest holds the SHA-256 of every file. Its own is held by whoever registered the artefact, and its signature
(HMAC-SHA256) lies beside it where a key is set. Nothing in the folder is read before its hash has been checked.
MODEL_CARD.md is for people: it follows from the manifest, and no program reads it.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from classifier.ml.config import PreprocessingSpec
from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.manifest_schema import find_violation
from classifier.ml.model_card import build_model_card
from classifier.ml.preprocessing import FORM_VERSION
from config.files import new_folder, open_file, write_file

DEFAULT_ARTEFACT: Final = Path(__file__).resolve().parent.parent / "artefacts" / "default"
MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.hmac"
WEIGHTS_FILE: Final = "weights.safetensors"
NETWORK_FILE: Final = "network.tflite"
COLOUR_FILE: Final = "colour.tflite"
HEADS_FILE: Final = "heads.safetensors"
MODEL_CARD_FILE: Final = "MODEL_CARD.md"
#: Where a head that travels alone has its base; registered ones lie beside each other.
BASE_FOLDER: Final = "base"
#: Version 1 has a threshold for each group, and nothing of photographs; it loads and serves as it always did.
SCHEMA_VERSION: Final = 2
#: Of a head and its base together.
MAX_ARTEFACT_BYTES: Final = 12 * 1024 * 1024
MAX_MANIFEST_BYTES: Final = 1024 * 1024
_MAX_DEPTH: Final = 20
_MAY_BE_LEFT_OUT: Final = frozenset({"base", "colour"})


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


class ArtefactAnswersError(ArtefactError):
    """The network does not say what it said before of the same pictures, though its files are the same."""

    reason = "network does not answer as it did"


class SigningKey(NamedTuple):
    """What signs manifests, and keys from before it, whose signatures are accepted still."""

    present: bytes
    former: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is known of an artefact; the values are plain JSON.

    ``version`` names it for people. ``labels`` holds the lists of ``labels`` as they were at training. ``network`` and
    ``recipe`` rebuild architecture and training; ``backbone`` is file name and hashes of the pretrained weights, or
    None. ``metrics`` are those of the test pictures. ``files`` maps each file's name to its SHA-256. ``base`` is the
    SHA-256 of the base's manifest, None of a base; ``colour`` says what looks at colours, if anything does.
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
    base: str | None = None
    colour: Mapping[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """The manifest's file, the same bytes for the same values."""
        values = asdict(self)
        # Not said where there is none, as in artefacts from before there was any.
        known = {name: value for name, value in values.items() if value is not None or name not in _MAY_BE_LEFT_OUT}
        return (json.dumps(known, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()

    def model_card(self) -> bytes:
        """The file that tells people what this artefact is, the same bytes for the same values."""
        return build_model_card(json.loads(self.to_bytes())).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """The manifest of a file. Raises ``ArtefactFormatError`` for anything that is not one of this schema."""
        try:
            value = json.loads(content)
            # Python reads numbers that are none, and half characters, which nobody else does.
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
            depth = _measure_depth(value)
        except (ValueError, RecursionError) as error:
            raise ArtefactFormatError(f"expected {MANIFEST_FILE} to be JSON: {error}") from error
        if depth > _MAX_DEPTH:
            raise ArtefactFormatError(f"{MANIFEST_FILE}: expected at most {_MAX_DEPTH} levels, received {depth}")
        if violation := find_violation(value):
            raise ArtefactFormatError(f"{MANIFEST_FILE}: {violation}")
        manifest = cls(**value)
        manifest.preprocessing_spec()
        manifest.calibration_values()
        return manifest

    def preprocessing_spec(self) -> PreprocessingSpec:
        """How pictures become this network's input. Raises ``ArtefactFormatError`` when the manifest does not say."""
        try:
            return PreprocessingSpec(**self.preprocessing)
        except (TypeError, ValueError) as error:
            raise ArtefactFormatError(f"{MANIFEST_FILE}: {error}") from error

    def looks_sha256(self) -> str:
        """The SHA-256 of what looks at pictures with a base's networks; see `VerifiedArtefact.looks_sha256`."""
        looks: dict[str, Any] = {
            "form": FORM_VERSION,
            "networks": {name: digest for name, digest in self.files.items() if name in (NETWORK_FILE, COLOUR_FILE)},
            "preprocessing": asdict(self.preprocessing_spec()),
            # Tall objects of photographs are looked at again.
            "photographs": self.calibration_values().photographs is not None,
        }
        return hashlib.sha256(json.dumps(looks, sort_keys=True).encode()).hexdigest()

    def calibration_values(self) -> Calibration:
        """How this network's logits become labels. Raises ``ArtefactFormatError`` when the manifest does not say."""
        try:
            return Calibration.from_json(self.calibration)
        except (TypeError, ValueError) as error:
            raise ArtefactFormatError(f"{MANIFEST_FILE}: {error}") from error


@dataclass(frozen=True, slots=True)
class VerifiedArtefact:
    """A manifest, as it is and as its file, and the files it names, whose hashes were right when they were read.

    ``base`` is that of a head, None of a base.
    """

    manifest: Manifest
    manifest_bytes: bytes
    contents: Mapping[str, bytes]
    base: Self | None = None

    @property
    def networks(self) -> Mapping[str, bytes]:
        """The files of the networks, which are the base's."""
        return self.base.contents if self.base else self.contents

    @property
    def sha256(self) -> str:
        """The SHA-256 of the manifest: what a registration records."""
        return hashlib.sha256(self.manifest_bytes).hexdigest()

    @property
    def looks_sha256(self) -> str:
        """The SHA-256 of what looks at pictures: artefacts that have it in common see the same in a picture."""
        return (self.base or self).manifest.looks_sha256()

    @property
    def size(self) -> int:
        """The bytes of its own files."""
        return len(self.manifest_bytes) + sum(map(len, self.contents.values()))


def build_file_hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The ``files`` of a manifest for the given contents."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def save_artefact(
    folder: Path, *, manifest: Manifest, contents: Mapping[str, bytes], key: SigningKey | None = None
) -> None:
    """Write an artefact and its model card; the folder appears whole or not at all, and replaces one of the same name.

    ``contents`` maps file names to bytes and must match the manifest's hashes. With a ``key`` the manifest is signed.
    Raises ``ArtefactError`` when something does not match, and ``OSError`` when the disk refuses; nothing is left then.
    """
    if dict(manifest.files) != build_file_hashes(contents):
        raise ArtefactTamperedError("expected the manifest's file hashes to be those of the contents to be saved")
    manifest_bytes = manifest.to_bytes()
    artefact = VerifiedArtefact(Manifest.from_bytes(manifest_bytes), manifest_bytes, contents)
    total = len(manifest_bytes) + len(manifest.model_card()) + sum(map(len, contents.values()))
    if total > MAX_ARTEFACT_BYTES:
        raise ArtefactError(f"expected an artefact of at most {MAX_ARTEFACT_BYTES} bytes, received {total}")
    write_artefact(folder, artefact, key=key, replace=True)


def write_artefact(folder: Path, artefact: VerifiedArtefact, *, key: SigningKey | None, replace: bool = False) -> None:
    """Write the files of an artefact, its model card and, with a ``key``, its signature; the folder appears whole.

    Without ``replace`` there must be none of this name. Raises ``OSError``; nothing is left then.
    """
    files = {
        **artefact.contents,
        MANIFEST_FILE: artefact.manifest_bytes,
        MODEL_CARD_FILE: artefact.manifest.model_card(),
    }
    if key is not None:
        files[SIGNATURE_FILE] = _signature(artefact.manifest_bytes, key=key.present)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder, durable=True, replace=replace) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)


def sign_artefact(folder: Path, *, key: SigningKey) -> None:
    """Write the signature beside a verified artefact's manifest, in one step."""
    verify_artefact(folder)
    signature = _signature(_read_plain_file(folder / MANIFEST_FILE), key=key.present)
    write_file(folder / SIGNATURE_FILE, signature, durable=True)


def write_model_card(folder: Path) -> None:
    """Write the model card of a verified artefact anew, in one step; for artefacts that an older version made."""
    write_file(folder / MODEL_CARD_FILE, verify_artefact(folder).manifest.model_card(), durable=True)


def manifest_sha256(folder: Path) -> str:
    """The SHA-256 of the manifest as it lies in the folder: what a registration records."""
    return hashlib.sha256(_read_plain_file(folder / MANIFEST_FILE)).hexdigest()


def load_manifest(folder: Path, *, expected_sha256: str | None = None, key: SigningKey | None = None) -> Manifest:
    """The manifest of a folder, checked against the recorded hash and, with a ``key``, against its signature.

    Raises an ``ArtefactError`` that says which check failed.
    """
    return _parse_manifest(_read_manifest(folder, expected_sha256=expected_sha256, key=key))


# Pages ask for the same few again and again, and checking one takes some milliseconds.
_parse_manifest = lru_cache(maxsize=8)(Manifest.from_bytes)


def _read_manifest(folder: Path, *, expected_sha256: str | None, key: SigningKey | None) -> bytes:
    content = _read_plain_file(folder / MANIFEST_FILE, most=MAX_MANIFEST_BYTES)
    actual = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None and not hmac.compare_digest(actual, expected_sha256):
        raise ArtefactTamperedError(f"{folder / MANIFEST_FILE}: expected SHA-256 {expected_sha256}, received {actual}")
    if key is not None:
        signature = _read_plain_file(folder / SIGNATURE_FILE)
        accepted = [_signature(content, key=one) for one in (key.present, *key.former)]
        if not any(hmac.compare_digest(signature, one) for one in accepted):
            raise ArtefactTamperedError(f"{folder / SIGNATURE_FILE} is not the manifest's signature with this key")
    return content


def verify_artefact(
    folder: Path, *, expected_sha256: str | None = None, key: SigningKey | None = None
) -> VerifiedArtefact:
    """The manifest and every file it names, each read once and hashed before anybody sees it.

    With a head its base is verified in the same way. Raises ``ArtefactMissingError`` for a file that is missing or a
    link, ``ArtefactTamperedError`` for a wrong hash, ``ArtefactFormatError`` for a manifest of another form.
    """
    artefact = _verify_files(folder, expected_sha256=expected_sha256, key=key)
    if artefact.manifest.base is None:
        return artefact
    sha256 = artefact.manifest.base
    left = MAX_ARTEFACT_BYTES - artefact.size
    base = _verify_files(find_base(folder, sha256=sha256), expected_sha256=sha256, key=key, most=left)
    if base.manifest.base is not None:
        raise ArtefactFormatError(f"{folder}: expected a base with networks, received another head")
    return replace(artefact, base=base)


def find_base(folder: Path, *, sha256: str) -> Path:
    """The folder of the base that a head in ``folder`` names: within it, or beside it by its hash."""
    within = folder / BASE_FOLDER
    return within if within.is_dir() else folder.parent / sha256


def _verify_files(
    folder: Path, *, expected_sha256: str | None, key: SigningKey | None, most: int = MAX_ARTEFACT_BYTES
) -> VerifiedArtefact:
    """The manifest and files of one folder, verified, which together have at most so many bytes."""
    manifest_bytes = _read_manifest(folder, expected_sha256=expected_sha256, key=key)
    manifest = Manifest.from_bytes(manifest_bytes)
    contents: dict[str, bytes] = {}
    left = most - len(manifest_bytes)
    for name, expected in manifest.files.items():
        content = _read_plain_file(folder / name, most=left)
        left -= len(content)
        actual = hashlib.sha256(content).hexdigest()
        if actual != expected:
            raise ArtefactTamperedError(f"{folder / name}: expected SHA-256 {expected}, received {actual}")
        contents[name] = content
    return VerifiedArtefact(manifest, manifest_bytes, contents)


def artefact_bytes(folder: Path) -> int:
    """The size of an artefact in bytes: of its whole folder, and of its base's where that lies beside it.

    Raises ``ArtefactError`` where there is none.
    """
    folders, base = [folder], load_manifest(folder).base
    if base is not None and not (found := find_base(folder, sha256=base)).is_relative_to(folder):
        folders.append(found)
    return sum(path.stat().st_size for each in folders for path in each.rglob("*") if path.is_file())


def _measure_depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_measure_depth, inner), default=0)


def _signature(content: bytes, *, key: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode() + b"\n"


def _read_plain_file(path: Path, *, most: int = MAX_ARTEFACT_BYTES) -> bytes:
    """The content of a file that is no link and has at most so many bytes."""
    try:
        with open_file(path, follow_links=False) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise ArtefactMissingError(f"expected a plain file at {path}: {error.strerror}") from error
    if len(content) > most:
        raise ArtefactTamperedError(f"{path}: expected at most {most} bytes, received more")
    return content
