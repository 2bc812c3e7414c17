"""Make the secrets that compose.yaml names, each a file: `make_secrets.py FOLDER`. Those that are there stay."""

import secrets
import sys
from pathlib import Path


def main(folder: Path) -> None:
    """Write what is missing; nobody but the folder's owner gets at it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("database_password", "broker_password", "secret_key", "artefact_key"):
        keep(folder / name, value=secrets.token_urlsafe(48))
    database, broker = ((folder / f"{name}_password").read_text() for name in ("database", "broker"))
    keep(folder / "database_url", value=f"postgres://catalogue:{database}@database:5432/catalogue")
    keep(folder / "broker_url", value=f"redis://:{broker}@broker:6379/0")


def keep(file: Path, *, value: str) -> None:
    """Write the file unless it is there. Containers read it as another user; the folder is what keeps others out."""
    if not file.exists():
        file.write_text(value)
        file.chmod(0o444)
        sys.stdout.write(f"{file} made\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
