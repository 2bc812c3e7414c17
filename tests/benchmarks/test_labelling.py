"""The labelling benchmark on a few pictures, with real servers and a worker: what it reports, not how fast it is."""

import os
import urllib.error
import urllib.request

import psutil
import pytest

from benchmarks.labelling import Measurement
from benchmarks.origin import running_origin
from benchmarks.shop_pictures import build_shop, draw_pictures, parse_size
from benchmarks.usage import Reading, seconds_used
from catalog.pictures.decoding import decode_picture
from tests.benchmarks.running import read_report, run_benchmark

pytestmark = pytest.mark.long


@pytest.mark.postgresql
@pytest.mark.redis
def test_a_real_worker_labels_every_picture_of_the_origin() -> None:
    report = read_report("labelling", "--sizes", "60x80", "--images", "40")
    (row,) = report["sizes"]
    assert (row["size"], row["images"]) == ("60x80", 40)
    assert row["images_per_second"] == pytest.approx(40 / row["seconds"])
    assert row["ratio"] == pytest.approx(row["images_per_second"] / row["bare_images_per_second"])
    programs = {"worker", "postgresql", "redis", "origin"}
    assert set(row["cores_busy"]) == set(row["milliseconds_an_image"]) == programs
    assert row["milliseconds_an_image"]["worker"] > 0
    assert row["worker_peak_bytes"] > 50_000_000
    assert row["look_milliseconds"]["with_colours"] > row["look_milliseconds"]["without_colours"] > 0
    assert report["machine"]["cores"] == len(os.sched_getaffinity(0))


def test_an_unknown_size_is_bad_usage() -> None:
    result = run_benchmark("labelling", "--sizes", "60by80")
    assert result.returncode == 2
    assert "expected a size such as 60x80, received '60by80'" in result.stderr


@pytest.mark.parametrize("text", ["60", "x80", "60x", "0x80", "60x-80", "60x80x3"])
def test_a_text_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 60x80"):
        parse_size(text)


def test_the_shops_pictures_are_jpeg_files_of_that_size_and_no_two_are_equal() -> None:
    shop = build_shop((60, 80), drawn=2)
    files = [shop(number) for number in range(6)]
    decoded = [decode_picture(file) for file in files]
    assert {(picture.picture_format, picture.width, picture.height) for picture in decoded} == {("JPEG", 60, 80)}
    assert len(set(files)) == 6
    assert (decoded[0].pixels == decoded[2].pixels).all()
    assert (decoded[0].pixels != decoded[1].pixels).any()


def test_a_large_picture_is_as_heavy_as_a_shops() -> None:
    (file,) = draw_pictures((1200, 1600), count=1)
    assert 80_000 < len(file) < 400_000


def test_the_origin_serves_its_pictures_and_ends_with_its_block() -> None:
    with running_origin("60x80") as origin:
        with urllib.request.urlopen(origin.url("60x80", 7)) as answer:
            assert decode_picture(answer.read()).pixels.shape == (80, 60, 3)
            assert answer.headers["ETag"] == '"7"'
        for path in ("/1200x1600/1.jpg", "/60x80/x.jpg", "/"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{origin.port}{path}")
    assert not psutil.pid_exists(origin.process_id)


def test_usage_is_what_was_used_between_two_readings() -> None:
    before = Reading(at=10.0, seconds={"worker": 1.0, "origin": 0.5})
    after = Reading(at=12.0, seconds={"worker": 4.0, "origin": 0.75})
    assert seconds_used(before, after) == {"worker": 3.0, "origin": 0.25}


def test_a_measurement_relates_time_to_pictures() -> None:
    measurement = Measurement(
        size="60x80",
        images=400,
        seconds=2.0,
        bare_images_per_second=250.0,
        processor_seconds={"worker": 3.0},
        worker_peak_bytes=None,
        look_milliseconds={"with_colours": 4.0, "without_colours": 3.0},
    )
    assert (measurement.images_per_second, measurement.ratio) == (200.0, 0.8)
    assert measurement.cores_busy == {"worker": 1.5}
    assert measurement.milliseconds_an_image == {"worker": 7.5}
