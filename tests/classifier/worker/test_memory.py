"""What a labelling process needs at most: every file of the picture corpus and the largest legal one, in turn."""

import subprocess
import sys
from pathlib import Path

from classifier.ml.artefacts import DEFAULT_ARTEFACT
from tests.catalog.pictures.test_decoding import BAD_PICTURES, GOOD_PICTURES
from tests.support import make_images as make

PROGRAM = """
import sys
from pathlib import Path
from catalog.pictures.decoding import PictureError, decode_picture
from classifier.ml.inference import Classifier

def peak():
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

folder, artefact = map(Path, sys.argv[1:])
classifier = Classifier.load(artefact)
classifier.classify([decode_picture((folder / "warm").read_bytes(), target_size=400).pixels])
base, labelled, refused = peak(), 0, 0
for path in sorted(folder.glob("[0-9]*")):
    try:
        classifier.classify([decode_picture(path.read_bytes(), target_size=400).pixels])
        labelled += 1
    except PictureError:
        refused += 1
print(labelled, refused, peak() - base)
"""


def test_the_picture_corpus_takes_at_most_400_megabytes_beside_the_network(tmp_path: Path) -> None:
    # Given every file of the corpus and 39.7 megapixels on disk, so that making them does not count,
    rows = [*BAD_PICTURES, *GOOD_PICTURES]
    for number, row in enumerate(rows):
        (tmp_path / f"{number:03d}").write_bytes(row[2]())
    largest = make.raw_png(6_300, 6_300, bits=8, colour_type=6, rows=(b"\0" + b"\x80" * 25_200) * 6_300)
    (tmp_path / "999").write_bytes(largest)
    (tmp_path / "warm").write_bytes(GOOD_PICTURES[0][2]())

    # when a process that has the shipped network decodes and labels them,
    arguments = [sys.executable, "-c", PROGRAM, str(tmp_path), str(DEFAULT_ARTEFACT)]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=120)

    # then each has its outcome, and the process has grown by less than 400 MB, but by no less than that picture takes.
    labelled, refused, grown = map(int, finished.stdout.split())
    assert (labelled, refused) == (len(GOOD_PICTURES) + 1, len(BAD_PICTURES))
    assert 50 * 1024 < grown < 400 * 1024
