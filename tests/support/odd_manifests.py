"""The shipped manifest with something odd in it, as texts for property tests."""

import json
from typing import Any

from hypothesis import strategies as st

from classifier.ml.artefacts import MANIFEST_FILE
from tests.support.artefacts import OWN_NETWORKS

# In place of what Python itself does not write.
RAW = {"number without end": "1e999", "long number": "9" * 5000, "deep": "[" * 50 + "]" * 50, "abyss": "[" * 10**5}
ODD_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 3, 1.0, 0.5, 28.5, 10**30, 10**400, -(2**63), 1e-300, 1e300, float("nan"),
    float("inf"), "", "abc", "1", "x" * 101, "x" * 20_000, "a\0b", "a\nb", "\ud800", "../../etc/passwd", "<script>",
    [], [1], [None], [{}], ["abc"], [{"epoch": "1"}], [{"loss": 1e308}, {"loss": -1e308}], {}, {"": ""},
    {"a": {"b": None}},
    *(f"RAW {name}" for name in RAW),
]  # fmt: skip


def _list_places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to each value inside, of a list to its first row alone."""
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    return [way for key, below in inner for way in ((*place, key), *_list_places(below, (*place, key)))]


_SHIPPED = (OWN_NETWORKS / MANIFEST_FILE).read_text()
_changes = st.tuples(
    # Of the fields themselves as often as of all that is in them.
    st.sampled_from([(name,) for name in json.loads(_SHIPPED)]) | st.sampled_from(_list_places(json.loads(_SHIPPED))),
    st.sampled_from(["replace", "replace", "replace", "remove", "add"]),
    st.sampled_from(ODD_VALUES),
)


def _write(changes: list[tuple[tuple[Any, ...], str, Any]]) -> bytes:
    manifest = json.loads(_SHIPPED)
    for place, change, value in changes:
        around = manifest
        try:
            for key in place[:-1]:
                around = around[key]
            if change == "remove":
                del around[place[-1]]
            else:
                around[place[-1] if change == "replace" else "more"] = value
        except (KeyError, IndexError, TypeError):  # an earlier change took it away
            continue
    text = json.dumps(manifest)
    for name, raw in RAW.items():
        text = text.replace(f'"RAW {name}"', raw)
    return text.encode()


odd_manifests = st.lists(_changes, min_size=1, max_size=3).map(_write)
