"""Where passwords are hashed."""

import os
import threading

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from config.hashers import PatientHasher
from config.settings.base import PASSWORD_HASHERS


def test_passwords_of_before_are_still_right_and_those_of_now_were_right_before() -> None:
    assert PASSWORD_HASHERS[0] == "config.hashers.PatientHasher"
    before, now = PBKDF2PasswordHasher(), PatientHasher()
    stored = before.encode("right", "salt", 10)
    assert now.encode("right", "salt", 10) == stored
    assert (now.verify("right", stored), now.verify("wrong", stored)) == (True, False)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs Linux, where a thread has a niceness")
def test_a_hash_gives_way_to_who_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_niceness(*_: object) -> str:
        return str(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    ours = find_niceness()
    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", find_niceness)
    assert (PatientHasher().encode("right", "salt"), find_niceness()) == (str(min(19, int(ours) + 5)), ours)
