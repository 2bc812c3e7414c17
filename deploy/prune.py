"""Take out of an installed environment what nothing in it loads, then compile what is left. Used by the Dockerfile.

    prune.py /opt/venv

The demo labels its pictures with what remains, and `tests/deploy` starts each process of compose.yaml in an image.
"""

import compileall
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

#: Of every package: what serves those who develop it.
EVERYWHERE = ("**/tests", "**/test", "**/*.pyi", "**/*.pxd", "**/*.c", "**/*.h", "**/*.hpp", "**/*.map", "**/*.md5")
#: Tools that install, headers for compilers, drivers of chips that a server lacks, messages in other languages,
#: and the parts of SciPy that nothing loads.
NAMED = (
    "pip",
    "pip-*",
    "setuptools",
    "setuptools-*",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    "ai_edge_litert/aot",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "clang",
    "django/**/locale/[!e]*/LC_MESSAGES",
    "django/**/locale/e[!n]*/LC_MESSAGES",
    "drf_spectacular_sidecar/static/drf_spectacular_sidecar/redoc",
    "numpy/distutils",
    "rest_framework/locale/[!e]*/LC_MESSAGES",
    "rest_framework/locale/e[!n]*/LC_MESSAGES",
    "scipy/cluster",
    "scipy/datasets",
    "scipy/differentiate",
    "scipy/fftpack",
    "scipy/integrate",
    "scipy/interpolate",
    "scipy/io",
    "scipy/misc",
    "scipy/odr",
    "scipy/signal",
    "scipy/stats",
    "tensorflow/include",
)
#: Read at run time, whatever their names say.
KEPT = ("django/test", "numpy/testing", "tensorflow", "keras", "rest_framework/test.py")
#: What of Amazon's protocols a bucket needs: its own, and those that give who asks a passing key.
SERVICES = {"s3", "sso", "sso-oidc", "sts"}


def list_unused(packages: Path) -> Iterator[Path]:
    """The files and folders that go."""
    for pattern in EVERYWHERE:
        for path in packages.glob(pattern):
            if not any(path.is_relative_to(packages / kept) for kept in KEPT):
                yield path
    for pattern in NAMED:
        yield from packages.glob(pattern)
    yield from (path for path in packages.glob("botocore/data/*/") if path.name not in SERVICES)


def main(environment: Path) -> None:
    """Prune the environment and compile it."""
    (packages,) = environment.glob("lib/python*/site-packages")
    for path in list(list_unused(packages)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for program in environment.glob("bin/[pP]ip*"):
        program.unlink()
    compileall.compile_dir(packages, quiet=2, workers=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
