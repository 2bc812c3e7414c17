"""What the URL of a bucket says, and a bucket as a storage: one request to read, no second file of a name, no fork."""

import os
from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.core.files.base import ContentFile

from config.bucket import Bucket, build_bucket_storages
from tests.support.bucket import BucketServer, running_bucket


@pytest.fixture(scope="module")
def server() -> Iterator[BucketServer]:
    with running_bucket() as server:
        yield server


def build(server: BucketServer, name: str = "default") -> Bucket:
    return Bucket(**build_bucket_storages(server.url)[name]["OPTIONS"])


def test_every_storage_has_a_folder_below_the_prefix() -> None:
    storages = build_bucket_storages("s3://shop/catalogue/live/?endpoint_url=https://s3.example&region_name=eu-1")
    assert {name: entry["OPTIONS"]["location"] for name, entry in storages.items()} == {
        "default": "catalogue/live/media",
        "outputs": "catalogue/live/outputs",
        "artefacts": "catalogue/live/artefacts",
        "imports": "catalogue/live/imports",
    }
    options = storages["default"]["OPTIONS"]
    assert (options["bucket_name"], options["endpoint_url"], options["region_name"]) == (
        "shop",
        "https://s3.example",
        "eu-1",
    )
    assert build_bucket_storages("s3://shop")["default"]["OPTIONS"]["location"] == "media"


@pytest.mark.parametrize("url", ["", "shop", "https://shop/x", "s3:///x", "s3://key:secret@shop/x", "s3://shop/x#y"])
def test_a_url_of_another_form_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"expected s3://bucket/prefix\?endpoint_url=") as raised:
        build_bucket_storages(url)
    assert "secret" not in str(raised.value)


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(ImproperlyConfigured, match="received acl, endpoint"):
        build_bucket_storages("s3://shop?endpoint=x&acl=public")


def test_two_settings_that_say_where_files_lie_are_one_too_many() -> None:
    with pytest.raises(ImproperlyConfigured, match="or without it DEFAULT_FILE_STORAGE; received both"):
        build_bucket_storages("s3://shop", also_set=["DEFAULT_FILE_STORAGE"])


def test_what_is_saved_is_read_listed_and_deleted(server: BucketServer) -> None:
    bucket = build(server)
    assert bucket.save("a/b.txt", ContentFile(b"hello")) == "a/b.txt"
    assert bucket.save("a/b.txt", ContentFile(b"hello again")) == "a/b.txt"
    with bucket.open("a/b.txt") as file:
        assert (file.size, file.read(5), file.read()) == (11, b"hello", b" again")
    assert bucket.listdir("a") == ([], ["b.txt"])
    assert server.list_keys() == ["media/a/b.txt"]
    bucket.delete("a/b.txt")
    with pytest.raises(FileNotFoundError):
        bucket.open("a/b.txt")


def test_a_name_never_leaves_the_prefix(server: BucketServer) -> None:
    bucket = build(server)
    with pytest.raises(SuspiciousOperation):
        bucket.save("../../elsewhere", ContentFile(b"x"))
    with pytest.raises(SuspiciousOperation):
        bucket.open("../../elsewhere")
    assert [key for key in server.list_keys() if "elsewhere" in key] == []


def test_of_two_who_claim_a_name_one_gets_it(server: BucketServer) -> None:
    first, second = build(server, "imports"), build(server, "imports")
    assert first._save("claim", ContentFile(b"1")) == "claim"
    with pytest.raises(FileExistsError):
        second._save("claim", ContentFile(b"2"))
    with first.open("claim") as file:
        assert file.read() == b"1"


def test_a_forked_process_has_a_connection_of_its_own(server: BucketServer) -> None:
    bucket = build(server)
    bucket.save("forked", ContentFile(b"x"))
    own = bucket.connection
    pid = os.fork()
    if not pid:
        os._exit(0 if bucket.connection is not own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert bucket.connection is own
