"""What the embedded default needs on disk: a secret key made once, and the folders of the file-system broker."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from config.files import write_file


def read_or_create_secret_key(path: Path, *, create: Callable[[], str]) -> str:
    """Return the key that stands in `path`, made by `create` on the first call and readable by its owner only.

    Two processes that start together agree: the file that is there first stays.
    """
    if not path.exists():
        with suppress(FileExistsError):
            write_file(path, create().encode(), mode=0o600, replace=False)
    return path.read_text()


def file_broker_options(folder: Path) -> dict[str, str | bool | float]:
    """Return kombu's transport options for a broker whose messages are files below `folder`, which is created."""
    messages, control = folder / "messages", folder / "control"
    for path in (messages, control):
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        # Seconds between two looks at an empty folder; with the transport's own 1 s workers idle between batches.
        "polling_interval": 0.1,
        "store_processed": False,
    }
