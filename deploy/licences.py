"""Fail if a package of the runtime has a licence that asks for its users' source: `licences.py LOCK REPORT`.

The report is pip-licenses', of an environment with everything that is locked. Copyleft, or a licence that the metadata
leave out, that has been looked at stands in licences.json, by package and with what was found; an entry that nothing
needs fails as well.
"""

import json
import re
import sys
from pathlib import Path

COPYLEFT = re.compile(
    r"\b[AL]?GPL|General Public|MPL|Mozilla|EUPL|CDDL|EPL|Eclipse|SSPL|CC-BY-SA|OSL|BUSL", re.IGNORECASE
)
UNKNOWN = "UNKNOWN"


def find_problems(packages: list[dict[str, str]], reasons: dict[str, str]) -> list[str]:
    """What stands in the way, a sentence each."""
    problems = []
    needed = set()
    for package in packages:
        name, licence = package["Name"], package["License"]
        if licence == UNKNOWN or COPYLEFT.search(licence):
            needed.add(normalise(name))
            if normalise(name) not in reasons:
                problems.append(f"{name}: {licence}; expected no copyleft, or a reason in deploy/licences.json")
    unneeded = sorted(set(reasons) - needed)
    return problems + [f"{name}: deploy/licences.json has a reason that nothing needs" for name in unneeded]


def read_locked(lock: str) -> set[str]:
    """The names of the packages of a lock file for this system."""
    lines = [line for line in lock.splitlines() if "==" in line and "win32" not in line]
    return {normalise(line.partition("==")[0]) for line in lines}


def normalise(name: str) -> str:
    """The name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(lock: Path, report: Path) -> int:
    """Read both; the exit status says whether all is well."""
    locked = read_locked(lock.read_text())
    packages = [package for package in json.loads(report.read_text()) if normalise(package["Name"]) in locked]
    problems = find_problems(packages, json.loads(Path(__file__).with_suffix(".json").read_text()))
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    sys.stdout.write(f"{len(packages)} packages, {len(problems)} problems\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
