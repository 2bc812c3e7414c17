"""The commands of the units and those that docs/containers.md has an operator type, each with its own environment."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.forks import Fork, fork, run_forked
from tests.support.light import REPOSITORY
from tests.support.pages import read_block
from tests.support.ports import find_port, is_listening
from tests.support.servers import move_redis_url, start_postgresql

UNITS = REPOSITORY / "deploy/systemd"
PATIENCE_SECONDS = 120.0
#: As `manage.py`, on a machine that has no test pictures: to ask a version 10,000 of them takes longer than all else.
MANAGE = """
import sys
from unittest import mock
import manage
sys.argv[0] = "manage.py"
with mock.patch("classifier.adoption.gate.find_fashion_mnist", return_value=None):
    manage.main()
"""
#: As the front on the same machine asks.
FRONT = {"Host": "shop.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}


@dataclass
class Installation:
    """The product's processes on one machine, whose folders lie below one of the test's."""

    folder: Path
    port: int = field(default_factory=find_port)
    processes: dict[str, Fork] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("etc", "var", "credentials"):
            (self.folder / name).mkdir()

    def replace(self, text: str) -> str:
        """Put this machine's folders in place of an installation's."""
        places = {"/etc/catalogue": "etc", "/var/lib/catalogue": "var"}
        for there, here in places.items():
            text = text.replace(there, str(self.folder / here))
        return text.replace("/opt/catalogue", str(REPOSITORY))

    def read_unit(self, name: str) -> dict[str, list[str]]:
        """Return the unit's settings by their names, as systemd understands them."""
        text = (UNITS / name).read_text().replace("%d", str(self.folder / "credentials"))
        pairs = re.findall(r"^(\w+)=(.*)$", text.replace("%i", "1").replace("%H", "here"), re.MULTILINE)
        found: dict[str, list[str]] = {}
        for key, value in pairs:
            found.setdefault(key, []).append(value)
        return found

    def read_environment(self, unit: dict[str, list[str]]) -> dict[str, str]:
        """Return what the unit's processes find in their environment; its secrets are handed over as files."""
        for credential in unit["LoadCredential"]:
            name, _, path = credential.partition(":")
            if not (handed := self.folder / "credentials" / name).exists():  # others may read it at this moment
                handed.write_bytes(Path(self.replace(path)).read_bytes())
        told = [word for line in unit["Environment"] for word in shlex.split(line)]
        for path in unit["EnvironmentFile"]:
            told += Path(self.replace(path)).read_text().split()
        return {"PATH": os.environ["PATH"], **dict(self.replace(word).split("=", 1) for word in told)}

    def start(self, name: str) -> Fork:
        """Start the unit's process; its lines go to a file of the folder."""
        unit = self.read_unit(name)
        assert unit["WorkingDirectory"] == ["/opt/catalogue"]
        (command,) = unit["ExecStart"]
        argv = build_argv(command)
        if "gunicorn" in argv:
            argv += ["--bind", f"127.0.0.1:{self.port}"]  # in place of 8000, where others may listen
        log = self.folder / f"{name}.log"
        self.processes[name] = fork(*argv, output=log, env=self.read_environment(unit))
        return self.processes[name]

    def read_log(self, name: str) -> str:
        """Return what the unit's process has written."""
        return (self.folder / f"{name}.log").read_text()

    def stop(self) -> None:
        """Kill what runs."""
        for process in self.processes.values():
            process.kill()
            process.wait(60)


def build_argv(command: str) -> list[str]:
    """Return the arguments of an interpreter that does what a program of the virtual environment does."""
    program, *arguments = shlex.split(command)
    name = program.removeprefix("/opt/catalogue/.venv/bin/")
    assert name in ("python", "celery", "gunicorn")
    return arguments if name == "python" else ["-m", name, *arguments]


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    """An installation on a database without tables, its settings and secrets written as the page says."""
    redis_url = os.environ.get("REDIS_URL")
    if not redis_url:
        pytest.skip("needs a Redis")
    machine = Installation(tmp_path)
    server = start_postgresql()
    make, settings = read_block("containers.md", "useradd").splitlines()[1:3]
    (make_secrets,) = re.findall(r"python3 (deploy/make_secrets\.py /etc/catalogue)", make)
    subprocess.run([sys.executable, *machine.replace(make_secrets).split()], cwd=REPOSITORY, check=True)
    subprocess.run(["sh", "-c", machine.replace(settings)], check=True)
    for name, url in (("database_url", server.url), ("broker_url", move_redis_url(redis_url, by=8))):
        (tmp_path / "etc" / name).unlink()
        (tmp_path / "etc" / name).write_text(f"{url}\n")
    try:
        yield machine
    finally:
        machine.stop()
        server.stop()


def wait_for_log(machine: Installation, name: str, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in machine.read_log(name):
        assert machine.processes[name].poll() is None, machine.read_log(name)
        assert time.monotonic() < deadline, machine.read_log(name)
        time.sleep(0.1)


@pytest.mark.processes
@pytest.mark.redis
@pytest.mark.timeout(600)
def test_the_units_commands_and_those_of_the_page_make_a_site_that_serves(installed: Installation) -> None:
    # The database is waited for, and has its tables before anything else begins.
    migrate = installed.read_unit("catalogue-migrate.service")
    (wait,) = migrate["ExecStartPre"]
    shell, option, script = shlex.split(wait)
    found = re.fullmatch(r"until (.+) >/dev/null; do sleep 5; done", script)
    assert (shell, option, found is not None) == ("/bin/sh", "-c", True)
    waited = run_forked(*build_argv(found[1]), env=installed.read_environment(migrate))  # type: ignore[index]
    assert waited.returncode == 0, waited.stderr
    assert installed.start("catalogue-migrate.service").wait(300) == 0, installed.read_log("catalogue-migrate.service")

    workers = ("catalogue-labelling@.service", "catalogue-training.service")
    for name in ("catalogue-site.service", *workers):
        installed.start(name)

    # An operator's shell has the same settings as the units.
    *settings, create_user, register = read_block("containers.md", "cd /opt/catalogue").splitlines()
    shown = subprocess.run(
        ["sh", "-ec", installed.replace("\n".join([*settings, "env -0"]))],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    environment = dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)
    told = installed.read_environment(installed.read_unit("catalogue-site.service"))
    for name, value in told.items():
        if name.endswith("_FILE"):
            assert environment[name.removesuffix("_FILE")] == Path(value).read_text().strip()
        elif name not in ("HOME", "PYTHONUNBUFFERED"):
            assert environment[name] == value

    def manage(line: str, *options: str) -> "subprocess.CompletedProcess[str]":
        words = shlex.split(line, comments=True)
        assert words[:5] == ["runuser", "-u", "catalogue", "--", ".venv/bin/python"]
        return run_forked("-c", MANAGE, *words[6:], *options, env=environment | {"DJANGO_SUPERUSER_PASSWORD": "Long-1"})

    made = manage(create_user, "--no-input", "--username", "ann", "--email", "ann@shop.example")
    assert made.returncode == 0, made.stderr
    registered = manage(register)
    assert (registered.returncode, registered.stdout[-13:]) == (0, "(production)\n"), registered.stderr
    # Nothing in these settings is warned of.
    checked = run_forked("manage.py", "check", "--deploy", "--fail-level", "WARNING", env=told)
    assert (checked.returncode, checked.stdout, checked.stderr) == (
        0,
        "System check identified no issues (0 silenced).\n",
        "",
    )

    # Site and workers have begun meanwhile, and end at what systemd stops them by.
    for name in workers:
        wait_for_log(installed, name, " ready.")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_listening(installed.port):
        assert time.monotonic() < deadline, installed.read_log("catalogue-site.service")
        time.sleep(0.1)
    for path in ("/", "/healthz/ready"):
        with urlopen(Request(f"http://127.0.0.1:{installed.port}{path}", headers=FRONT), timeout=30) as answer:
            assert answer.status == 200, installed.read_log("catalogue-site.service")
    for name in ("catalogue-site.service", *workers):
        installed.processes[name].terminate()
    for name in ("catalogue-site.service", *workers):
        assert installed.processes[name].wait(60) == 0, installed.read_log(name)
