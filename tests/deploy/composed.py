"""The processes that compose.yaml names, started as they stand there: in their image's root, or as plain processes.

An image is taken where `PRODUCT_IMAGE` names one that buildah has (`localhost/fashion-catalogue`) and root asks for it.
Database and broker are the tests' own servers, which the secrets name.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.forks import Fork, fork
from tests.support.light import REPOSITORY
from tests.support.ports import find_port

#: What stands in for the containers' own names: folders, and the programs of the virtual environment.
STATE, SECRETS, BACKUPS = "/var/lib/catalogue", "/run/secrets", "/backups"
PROGRAMS = {"python": [sys.executable], "gunicorn": [sys.executable, "-m", "gunicorn"]}
PROGRAMS["celery"] = [sys.executable, "-m", "celery"]
#: Any user id will do; the group is 0.
USER = "12345:0"


def read_services(file: str = "compose.yaml") -> dict[str, dict[str, Any]]:
    """The services of a compose file by name, each variable at its default."""
    text = (REPOSITORY / file).read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace("$$", "$")
    services: dict[str, dict[str, Any]] = yaml.safe_load(text)["services"]
    return services


def list_own_services() -> list[str]:
    """Those that run this product; the others are foreign servers."""
    return [name for name, service in read_services().items() if "fashion-catalogue" in service["image"]]


@dataclass
class Composed:
    """The product's own processes on one database, broker and folder; every one of them is killed by `stop`."""

    folder: Path
    database_url: str
    broker_url: str
    processes: dict[str, subprocess.Popen[bytes] | Fork] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)
    #: Whether processes outside of images are forks of one that has imported the product.
    forks: bool = False

    def __post_init__(self) -> None:
        self.services = read_services()
        self.port = find_port()
        self.secrets = self.folder / "secrets"
        self.state, self.backups = self.folder / "var", self.folder / "backups"
        self.images = os.environ.get("PRODUCT_IMAGE", "") if os.geteuid() == 0 and shutil.which("buildah") else ""
        for folder in (self.state, self.backups):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o2770)
        if self.images and (socket := socket_folder(self.database_url)):
            # Another user than the server's gets at its socket.
            Path(socket).chmod(0o711)
        make = [sys.executable, REPOSITORY / "deploy/make_secrets.py", self.secrets]
        subprocess.run(make, stdout=subprocess.DEVNULL, check=True)
        for name, url in (("database_url", self.database_url), ("broker_url", self.broker_url)):
            (self.secrets / name).unlink()
            (self.secrets / name).write_text(url)

    @property
    def way(self) -> str:
        """How the processes run, in words."""
        return f"in the root of {self.images}" if self.images else "as plain processes"

    def can_run(self, name: str) -> bool:
        """Whether what the service runs in is here: `make images` makes no image for backups by itself."""
        look = ["buildah", "inspect", "--type", "image", self.name_image(name)]
        return not self.images or subprocess.run(look, capture_output=True, check=False).returncode == 0

    def name_image(self, name: str) -> str:
        """The image of the service, as it was built here."""
        return f"{self.images}:{self.services[name]['image'].rpartition(':')[2]}"

    def read_environment(self, name: str) -> dict[str, str]:
        """What the service's process finds in its environment, by its image and by compose.yaml."""
        told = {key: str(value) for key, value in self.services[name]["environment"].items()}
        if self.images:
            return told
        told = {key: value.replace(SECRETS, str(self.secrets)) for key, value in told.items()}
        alive = {"WORKER_ALIVE_FILE": str(self.folder / f"{name}-alive")}
        return {"PATH": os.environ["PATH"], "VAR_DIR": str(self.state), **read_image_environment(), **alive, **told}

    def build_command(self, name: str) -> list[str]:
        """The command of the service, for this machine."""
        command = [str(word) for word in self.services[name]["command"]]
        command = [word.replace("0.0.0.0:8000", f"127.0.0.1:{self.port}") for word in command]
        if not self.images:
            command = [str(self.backups) if word == BACKUPS else word for word in command]
            return [*PROGRAMS[command[0]], *command[1:]]
        if name not in self.containers:
            make = ["buildah", "from", self.name_image(name)]
            made = subprocess.run(make, capture_output=True, text=True, check=True)
            self.containers[name] = made.stdout.strip()
        # As compose does it, each secret by itself: the folder is its owner's alone.
        secrets = [(file, f"{SECRETS}/{file.name}") for file in self.secrets.iterdir()]
        volumes = [(self.state, STATE), (self.backups, BACKUPS), *secrets, (socket_folder(self.database_url), None)]
        mounts = [f"--volume={here}:{there or here}" for here, there in volumes if here]
        told = [f"--env={key}={value}" for key, value in self.read_environment(name).items()]
        head = ["buildah", "run", "--isolation", "chroot", "--user", USER, *mounts, *told, self.containers[name], "--"]
        return [*head, *command]

    def start(self, name: str, *, number: int = 1) -> subprocess.Popen[bytes] | Fork:
        """Start the service's process, the first or another; its lines go to a file of the folder."""
        key = f"{name}-{number}"
        command = [word.replace("@%h", f"-{number}@%h") for word in self.build_command(name)]
        environment = os.environ if self.images else self.read_environment(name)
        if self.forks and not self.images:
            self.processes[key] = fork(*command[1:], output=self.folder / f"{key}.log", env=environment)
            return self.processes[key]
        with (self.folder / f"{key}.log").open("ab") as log:
            self.processes[key] = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return self.processes[key]

    def run(self, name: str) -> int:
        """Run a service that ends by itself; return its exit status."""
        return self.start(name).wait(600)

    def kill(self, key: str) -> None:
        """Kill a process with all that it started, as the end of its container does."""
        process = self.processes[key]
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)

    def read_log(self, key: str) -> str:
        """What the process has written."""
        return (self.folder / f"{key}.log").read_text()

    def stop(self) -> None:
        """Kill what runs, and remove the containers."""
        for key in self.processes:
            self.kill(key)
        for container in self.containers.values():
            subprocess.run(["buildah", "rm", container], capture_output=True, check=False)


def read_image_environment() -> dict[str, str]:
    """What the Dockerfile sets for the product, but for paths of the image."""
    (text,) = re.findall(r"^ENV PATH=(.*?)(?=^\w)", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    pairs = re.findall(r"([A-Z_]+)=(\S+)", text)
    return {key: value for key, value in pairs if not value.startswith("/")}


def socket_folder(url: str) -> str | None:
    """The folder of the socket that a database URL names, if it does."""
    found = re.fullmatch(r"postgres://[^/]*/(/.*)/\w+", url)
    return found[1] if found else None
