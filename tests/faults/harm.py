"""The words with which a test tells a worker process what harm to do, and how it finds what a process had in hand."""

import uuid

# Stand behind a picture's pixels and decide what decoding it does.
SEGFAULT, HANG, STUBBORN, HUNGRY, KILLED = (
    b"fault:segfault", b"fault:hang", b"fault:stubborn", b"fault:hungry", b"fault:killed",
)  # fmt: skip

# A worker's lease tokens are its pid and 64 random bits.
PID_SHIFT = 64


def get_token_range(pid: int) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the first and the last lease token that the process with this id may use."""
    return uuid.UUID(int=pid << PID_SHIFT), uuid.UUID(int=(pid + 1 << PID_SHIFT) - 1)
