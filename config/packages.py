"""What is said where a package of `requirements.txt` is missing, of which `requirements-light.txt` leaves some out."""

from importlib.util import find_spec

TRAINS_NETWORKS = "TensorFlow, which trains networks,"
DRAWS_PLOTS = "Matplotlib, which draws the plots of reports,"


def describe_missing(package: str) -> str:
    """Return the sentence that names the command."""
    return f"{package} is not installed here. Install it: .venv/bin/python -m pip install -r requirements.txt"


def describe_missing_tensorflow() -> str:
    """Return what keeps this machine from training networks, without importing it; empty if nothing does."""
    return "" if find_spec("tensorflow") else describe_missing(TRAINS_NETWORKS)
