"""The broker's transports: many processes at once, messages of no sense, and what lies in the folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from celery.exceptions import WorkerShutdown
from celery.worker import state
from django.conf import settings as django_settings
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ChannelError

from config.broker import FileTransport
from config.embedded import file_broker_options
from tests.config.messages import Outcome, list_unreadable


@pytest.mark.timeout(600)
@pytest.mark.processes
@pytest.mark.both_databases
def test_workers_take_each_message_once_and_outlive_those_that_cannot_be_read() -> None:
    # On this run's broker, in a database of its own where that is Redis.
    redis_url = f"{django_settings.REDIS_URL.rpartition('/')[0]}/15" if django_settings.REDIS_URL else ""
    program = [sys.executable, "-m", "tests.config.messages", "--json", "--redis", redis_url]
    program += ["--count", "200", "--unreadable", str(len(list_unreadable()))]
    done = subprocess.run(program, capture_output=True, text=True, timeout=500, check=False)
    outcome = Outcome(**json.loads(done.stdout))
    assert outcome.is_clean(), (outcome, done.stderr)
    assert (outcome.messages, outcome.processes, outcome.workers) == (200, 4, 2)


def test_an_outcome_with_a_fault_is_not_clean() -> None:
    outcome = {"messages": 9, "processes": 1, "workers": 1, "seed": 1, "unreadable": 1, "refused": 1}
    clean = {"lost": 0, "doubled": 0, "workers_ended": 0, "elapsed_seconds": 1.0}
    assert Outcome(**outcome, **clean).is_clean()
    for fault in ("lost", "doubled", "workers_ended"):
        assert not Outcome(**outcome, **clean | {fault: 1}).is_clean()
    assert not Outcome(**outcome | {"refused": 2}, **clean).is_clean(), "one of ours came broken"


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    """A connection to a broker of files of its own."""
    return Connection(transport=FileTransport, transport_options=file_broker_options(tmp_path))


def test_messages_come_in_the_order_in_which_they_were_sent(connection: Connection) -> None:
    channel = connection.channel()
    for number in range(20):
        channel._put("one", {"number": number})
    channel._put("another", {})
    assert channel._size("one") == 20
    assert [channel._get("one")["number"] for _ in range(20)] == list(range(20))
    assert channel._size("one") == 0
    assert channel._size("another") == 1


def test_a_message_is_seen_by_its_name_when_all_of_it_is_there(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    replace = Path.replace

    def look(path: Path, target: Path) -> Path:
        seen.append([name for name in os.listdir(target.parent) if not name.startswith(".")])
        assert json.loads(path.read_bytes()) == {"whole": True}
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", look)
    connection.channel()._put("one", {"whole": True})
    assert seen == [[]]
    assert len(list((tmp_path / "messages").glob("*.one.msg"))) == 1


def test_a_worker_that_waits_for_messages_sees_at_once_that_it_is_to_stop(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Queue("one", Exchange("one"), "one")
    with connection.Consumer([queue], callbacks=[lambda _body, _message: None]):
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.01)
        monkeypatch.setattr(state, "should_stop", 0)
        with pytest.raises(WorkerShutdown):
            connection.drain_events(timeout=600)


def test_a_folder_that_cannot_be_written_to_is_a_brokers_error(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "messages").rmdir()
    with pytest.raises(ChannelError, match="cannot write the message"):
        connection.channel()._put("one", {})


def test_bindings_are_there_for_other_processes_and_go_with_their_queue(connection: Connection, tmp_path: Path) -> None:
    fanout, topic = Exchange("all", type="fanout"), Exchange("some", type="topic")
    queues = [Queue("a@host.x", fanout), Queue("b&%2F", fanout), Queue("c", topic, routing_key="*.x.#")]
    bound = [queue.bind(connection.channel()) for queue in queues]
    for queue in bound:
        queue.declare()
    channel = connection.channel()
    assert [row.queue for row in channel.get_table("all")] == ["a@host.x", "b&%2F"]
    assert channel.get_table("some")[0].routing_key == "*.x.#"
    assert channel.get_table("none") == []
    # Who has no table of its own finds the queues by it,
    channel._put_fanout("all", {}, "")
    assert [channel._size(queue.name) for queue in queues] == [1, 1, 0]
    assert channel.typeof("some", default="topic").lookup(channel.get_table("some"), "some", "a.x.b", None) == {"c"}
    # and a queue that is deleted takes its binding and its messages with it.
    bound[0].delete()
    assert [row.queue for row in channel.get_table("all")] == ["b&%2F"]
    assert channel._size("a@host.x") == 0
