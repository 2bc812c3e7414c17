"""Where passwords are hashed."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from config.hashers import PatientHasher, give_way
from config.settings.base import PASSWORD_HASHERS


def test_passwords_of_before_are_still_right_and_those_of_now_were_right_before() -> None:
    assert PASSWORD_HASHERS[0] == "config.hashers.PatientHasher"
    before, now = PBKDF2PasswordHasher(), PatientHasher()
    stored = before.encode("right", "salt", 10)
    assert now.encode("right", "salt", 10) == stored
    assert (now.verify("right", stored), now.verify("wrong", stored)) == (True, False)


def test_where_nobody_may_be_nicer_people_sign_in_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    monkeypatch.setattr(PatientHasher, "pool", ThreadPoolExecutor(1, initializer=give_way))
    assert PatientHasher().verify("right", PBKDF2PasswordHasher().encode("right", "salt", 10))


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux, where a thread has a niceness")
def test_a_hash_gives_way_to_who_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_niceness(*_: object) -> str:
        return str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    ours = find_niceness()
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", find_niceness)
    assert (PatientHasher().encode("right", "salt"), find_niceness()) == (str(min(19, int(ours) + 5)), ours)
