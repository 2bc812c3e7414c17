"""What delivers the product: lock files, licences, workflows, units, the front's configuration. Nothing is started."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.licences import find_problems
from deploy.prune import NAMED
from tests.support.front import find_caddy
from tests.support.light import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").iterdir())
LOCKED = ("requirements-light", "requirements", "requirements-dev", "requirements-delivery")
#: Imports parts of SciPy where others are not to be had: the first argument names these, the second those.
IMPORT_WITHOUT = """
import importlib, json, sys

pruned, used = map(json.loads, sys.argv[1:])
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in pruned:
            raise ImportError(f"{name} is pruned")

sys.meta_path.insert(0, Blocker())
for name in used:
    importlib.import_module(name)
"""
#: As systemd-analyze says it, of 10 for no sandbox at all.
MOST_EXPOSED = 1.5


def read_pins(file: Path) -> dict[str, str]:
    """The version of each package that a requirements or lock file pins, with those of the files that it includes."""
    pins: dict[str, str] = {}
    for line in file.read_text().splitlines():
        if line.startswith("-r "):
            pins |= read_pins(file.with_name(line[3:]))
        elif re.match(r"[a-zA-Z]", line):
            requirement = Requirement(line.rstrip(" \\"))
            pins[re.sub(r"[-_.]+", "-", requirement.name).lower()] = str(requirement.specifier)
    return pins


@pytest.mark.parametrize("name", LOCKED)
def test_a_lock_has_what_its_requirements_name_with_hashes(name: str) -> None:
    lock = REPOSITORY / f"{name}.lock"
    locked, pinned = read_pins(lock), read_pins(REPOSITORY / f"{name}.txt")
    assert pinned
    assert {package: locked.get(package) for package in pinned} == pinned, "run: make lock"
    packages = re.split(r"^(?=[a-zA-Z])", lock.read_text(), flags=re.MULTILINE)[1:]
    assert [text.split()[0] for text in packages if "--hash=sha256:" not in text] == []


def test_locks_and_constraints_agree() -> None:
    constraints = read_pins(REPOSITORY / "constraints.txt")
    locked = read_pins(REPOSITORY / "requirements-dev.lock")
    assert {package: locked.get(package) for package in constraints} == constraints, "run: make lock"


def test_what_the_product_asks_of_scipy_stays_in_the_images() -> None:
    files = [
        path.read_text()
        for folder in ("catalog", "classifier", "config")
        for path in (REPOSITORY / folder).rglob("*.py")
    ]
    used = sorted({name for text in files for name in re.findall(r"scipy\.[a-z]+", text)})
    pruned = [path.replace("/", ".") for path in NAMED if path.startswith("scipy/")]
    assert len(used) > 3
    assert len(pruned) > 3
    lists = map(json.dumps, (pruned, used))
    result = subprocess.run([sys.executable, "-c", IMPORT_WITHOUT, *lists], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_whole_is_the_light_part_and_more() -> None:
    light, whole = (read_pins(REPOSITORY / f"{name}.lock").items() for name in ("requirements-light", "requirements"))
    assert light < whole


@pytest.mark.parametrize(
    "licence, reasons, problem",
    [
        ("MIT", {}, ""),
        ("Apache-2.0 AND MIT", {}, ""),
        ("GNU General Public License v3", {}, "expected no copyleft"),
        ("AGPL-3.0-only", {}, "expected no copyleft"),
        ("Mozilla Public License 2.0 (MPL 2.0)", {}, "expected no copyleft"),
        ("UNKNOWN", {}, "expected no copyleft"),
        ("LGPL-3.0", {"a-package": "looked at"}, ""),
        ("MIT", {"a-package": "looked at"}, "a reason that nothing needs"),
    ],
)
def test_copyleft_wants_a_reason(licence: str, reasons: dict[str, str], problem: str) -> None:
    problems = find_problems([{"Name": "A_package", "License": licence}], reasons)
    assert [problem in text for text in problems] == [True] * bool(problem)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_calls_make_alone_and_foreign_actions_by_their_hash(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    makefiles = (REPOSITORY / "Makefile").read_text() + (DEPLOY / "delivery.mk").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefiles, flags=re.MULTILINE))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        if "steps" not in job:
            assert job["uses"].startswith("./.github/workflows/")
            continue
        assert "write-all" not in str(job["permissions"])
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
            else:
                make, *named = step["run"].split()
                assert make == "make"
                assert set(named) <= targets


def read_workflow(name: str) -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load((REPOSITORY / ".github/workflows" / name).read_text())
    return workflow


def test_every_supported_python_is_tested_and_an_earlier_commits_code_too() -> None:
    test = read_workflow("tests.yaml")["jobs"]["test"]
    assert test["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    checkout = test["steps"][0]
    assert checkout["uses"].startswith("actions/checkout@")
    assert checkout["with"]["fetch-depth"] == 0


def test_nothing_is_published_untested_or_on_a_base_without_a_digest() -> None:
    assert "workflow_call" in read_workflow("tests.yaml")[True]  # YAML takes `on` for a truth
    jobs = read_workflow("release.yaml")["jobs"]
    assert jobs["tests"]["uses"] == "./.github/workflows/tests.yaml"
    publishing = [name for name, job in jobs.items() if job["permissions"].get("packages") == "write"]
    assert [jobs[name]["needs"] for name in publishing] == ["tests"]
    commands = [step["run"] for name in publishing for step in jobs[name]["steps"] if "run" in step]
    assert commands == ["make pinned-base images", "make push", "make sign"]


def test_nothing_comes_into_production_but_through_preproduction() -> None:
    jobs = read_workflow("release.yaml")["jobs"]
    assert jobs["production"]["needs"] == ["images", "preproduction"]
    assert [jobs[name]["with"]["environment"] for name in ("preproduction", "production")] == [
        "preproduction",
        "production",
    ]
    deploy = read_workflow("deploy.yaml")["jobs"]["deploy"]
    assert deploy["environment"] == "${{ inputs.environment }}"


def test_an_environment_may_name_each_foreign_image_by_its_digest() -> None:
    images = re.findall(r"^ +image: (.*)$", (REPOSITORY / "compose.yaml").read_text(), flags=re.MULTILINE)
    foreign = [image for image in images if "fashion-catalogue" not in image]
    named = re.findall(r"^\$\{(\w+):-[^}]+\}$", "\n".join(foreign), flags=re.MULTILINE)
    assert sorted(named) == ["BROKER_IMAGE", "DATABASE_IMAGE", "FRONT_IMAGE"]
    assert len(foreign) == len(named)
    told = read_workflow("deploy.yaml")["jobs"]["deploy"]["steps"][-1]["env"]
    assert {name: told[name] for name in named} == {name: f"${{{{ vars.{name} }}}}" for name in named}


def test_secrets_are_made_once_and_for_one_owner(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    command = [sys.executable, DEPLOY / "make_secrets.py", folder]
    subprocess.run(command, check=True)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert made["database_password"] in made["database_url"]
    assert len(set(made.values())) == len(made) == 6
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    assert {Path(secret["file"]).name for secret in compose["secrets"].values()} == set(made)
    subprocess.run(command, check=True)
    assert {file.name: file.read_text() for file in folder.iterdir()} == made


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, of an installation whose programs are all there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(re.sub(r"/opt/catalogue/\S+", "/bin/true", unit.read_text()))
    return [tmp_path / unit.name for unit in UNITS]


def test_systemd_finds_nothing_wrong_with_the_units(units: list[Path]) -> None:
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_every_service_is_in_a_sandbox_and_starts_again(units: list[Path]) -> None:
    for unit in units:
        if unit.suffix != ".service":
            continue
        command = ["systemd-analyze", "security", "--offline=true", "--json=short", unit]
        assert json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        command = ["systemd-analyze", "security", "--offline=true", f"--threshold={10 * MOST_EXPOSED:.0f}", unit]
        judged = subprocess.run(command, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout[-300:]
        text = unit.read_text()
        assert "User=catalogue\n" in text
        assert "LimitNOFILE=65536\n" in text
        assert "Restart=always\n" in text or "Type=oneshot\n" in text


def test_caddy_takes_its_configuration() -> None:
    if not (caddy := find_caddy()):
        pytest.skip("needs Caddy 2.7 or newer")
    command = [caddy, "validate", "--config", DEPLOY / "Caddyfile", "--adapter", "caddyfile"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert '"warn"' not in checked.stderr
