"""A Python that has the packages of `requirements-light.txt` and what these need, and no other."""

import re
import sys
import sysconfig
import venv
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
LIGHT = REPOSITORY / "requirements-light.txt"


def make_light_python(folder: Path) -> Path:
    """Make a virtual environment at `folder`, whose packages are links to those here; return its interpreter."""
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    here = Path(sysconfig.get_path("purelib"))
    for found in list_distributions():
        for name in {path.parts[0] for path in found.files or () if path.parts[0] != ".."}:
            if name != "__pycache__" and not (packages / name).exists():
                (packages / name).symlink_to(here / name)
    return folder / "bin" / Path(sys.executable).name


def list_distributions() -> list[Distribution]:
    """Return what is installed of the light packages, and of those they need in turn."""
    lines = (line.strip() for line in LIGHT.read_text().splitlines())
    names = [re.split(r"[=\[]", line)[0] for line in lines if line and not line.startswith(("#", "-"))]
    found: dict[str, Distribution] = {}
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name in found:
            continue
        found[name] = distribution(name)
        needed = (Requirement(text) for text in requires(name) or ())
        names += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return list(found.values())
