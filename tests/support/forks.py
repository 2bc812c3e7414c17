"""Programs in forks of a process that has imported the product: 0.05 s of a processor, where an interpreter takes 2.

`fork` starts one as `subprocess.Popen` would. Django's settings are read anew in it, from its own environment. The
process that forks is started with the first of them, and ends with whoever started it; so does all that it forked.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
#: Names the socket of the process that forks, to programs that start others in their turn.
ADDRESS_VARIABLE = "TEST_FORKS_ADDRESS"
#: What programs import when they need it. An earlier commit may lack some.
MODULES = (
    *("celery.app.trace", "celery.apps.worker", "celery.bin.celery", "celery.concurrency.prefork"),
    *("celery.worker.components", "celery.worker.control", "celery.worker.loops", "celery.worker.strategy"),
    *("gunicorn.app.wsgiapp", "gunicorn.arbiter", "gunicorn.workers.gthread", "rich.console"),
    *("classifier.worker.tasks", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "classifier.ml.inference"),
    *("config.consumer", "config.urls", "config.wsgi", "django.test", "tests.support.servers"),
)

_addresses: dict[Path, str] = {}


class Fork:
    """A forked program, as `subprocess.Popen` has it."""

    def __init__(self, address: str, order: Mapping[str, Any]) -> None:
        self.args = order["argv"]
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(address)
        self._lines = self._socket.makefile("rw")
        self._lines.write(f"{json.dumps(order)}\n")
        self._lines.flush()
        self.pid = int(self._lines.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status once it has ended; raise `subprocess.TimeoutExpired` if it has not by then."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._lines.readline() or -signal.SIGKILL)
            self._lines.close()
            self._socket.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(
    *argv: str, output: Path, errors: Path | None = None, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None
) -> Fork:
    """Start `python argv` in a session of its own, its output at the end of a file.

    `argv` begins with `-m`, `-c` or a program's path. `cwd` is this repository, or a tree that is `forking`.
    """
    if REPOSITORY not in _addresses:
        if address := os.environ.get(ADDRESS_VARIABLE):
            _addresses[REPOSITORY] = address
        else:
            atexit.register(start_forking())
    environment = dict(os.environ | {ADDRESS_VARIABLE: _addresses[REPOSITORY]} if env is None else env)
    files = [str(output), str(errors or output)]
    return Fork(_addresses[cwd], {"argv": argv, "cwd": str(cwd), "env": environment, "files": files})


def run_forked(
    *argv: str, cwd: Path = REPOSITORY, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `python argv` to its end; return its status and what it said."""
    with tempfile.TemporaryDirectory(prefix="fork-") as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        status = fork(*argv, output=output, errors=errors, cwd=cwd, env=env).wait()
        return subprocess.CompletedProcess(argv, status, output.read_text(), errors.read_text())


def start_forking() -> Callable[[], None]:
    """Start the process that forks, for this one and those that it starts; return what ends it."""
    stack = ExitStack()
    os.environ[ADDRESS_VARIABLE] = _addresses[REPOSITORY] = stack.enter_context(_serving(REPOSITORY))
    return stack.close


@contextmanager
def forking(tree: Path) -> Iterator[None]:
    """Let programs of another tree be forked while the block runs, from a process that has imported that one."""
    with _serving(tree) as _addresses[tree]:
        yield
    del _addresses[tree]


@contextmanager
def _serving(tree: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="forks-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            cwd=tree,
            env=os.environ
            | {"DJANGO_SETTINGS_MODULE": "config.settings.base", "PYTHONPATH": str(tree), "VAR_DIR": folder},
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
        try:
            yield f"{folder}/socket"
        finally:
            server.communicate()


def serve(listener: socket.socket) -> None:
    """Fork a program for each connection: one JSON line says which, the answers are its process id and its status."""
    before = set(os.environ) - {"DJANGO_SETTINGS_MODULE"}
    _import_everything()
    defaults = {name: value for name, value in os.environ.items() if name not in before}
    ended, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        for one in (listener, sys.stdin, ended):
            selector.register(one, selectors.EVENT_READ)
        while sys.stdin not in (ready := [key.fileobj for key, _ in selector.select()]):
            if ended in ready:
                ended.recv(4096)
                _tell_ends(running)
            if listener in ready:
                connection, _ = listener.accept()
                order = json.loads(connection.makefile().readline())
                if not (pid := os.fork()):
                    _become(order, environment=defaults | order["env"])
                running[pid] = connection
                connection.sendall(b"%d\n" % pid)
                wake.send(b".")  # it may have ended before it was among those that run
    for pid in running:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _import_everything() -> None:
    import django

    django.setup()
    for name in MODULES:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()


def _tell_ends(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as connection, suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _become(order: Mapping[str, Any], *, environment: Mapping[str, str]) -> None:
    """Be the program from here on, with a standard input that is empty."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    files = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666) for path in order["files"]]
    for target, source in enumerate([os.open(os.devnull, os.O_RDONLY), *files]):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 4096 else 4096)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(environment)
    status: Any = 1
    try:
        _forget_settings()
        _run(order["argv"])
        status = 0
    except SystemExit as end:
        status = end.code
        if status is not None and not isinstance(status, int):
            sys.stderr.write(f"{status}\n")
            status = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(status or 0)


def _run(argv: Sequence[str]) -> None:
    sys.argv = list(argv) if argv[0] not in ("-m", "-c") else [argv[0], *argv[2:]]
    if argv[0] == "-m":
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    elif argv[0] == "-c":
        exec(argv[1], {"__name__": "__main__"})
    else:
        runpy.run_path(argv[0], run_name="__main__")


def _forget_settings() -> None:
    """Have Django read the settings when it is asked next, and keep what libraries have added to them."""
    from django import conf
    from django.conf import global_settings, settings
    from django.contrib.staticfiles.storage import staticfiles_storage
    from django.core.cache import caches
    from django.core.files.storage import default_storage, storages
    from django.db import connections
    from django.utils.functional import empty

    for handler in (connections, caches):
        for alias in handler.settings:
            with suppress(AttributeError):  # nobody has asked for it yet
                del handler[alias]
        del handler.settings
        handler._settings = None
    vars(storages).pop("backends", None)
    storages._backends, storages._storages = None, {}
    default_storage._wrapped = staticfiles_storage._wrapped = empty
    # The site's entry point reads them too: its middleware and its limit of statements.
    for name in [name for name in sys.modules if name.startswith(("config.settings", "config.wsgi"))]:
        del sys.modules[name]
    old, settings._wrapped = settings._wrapped, empty
    known = old._explicit_settings | set(dir(global_settings))
    added = {name: value for name, value in vars(old).items() if name.isupper() and name not in known}

    class Settings(conf.Settings):
        def __init__(self, settings_module: str) -> None:
            super().__init__(settings_module)
            vars(self).update(added | vars(self))

    conf.Settings = Settings


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).parent))  # there because this program was named by its path
    serve(socket.socket(fileno=int(sys.argv[1])))
