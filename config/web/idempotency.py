"""The header by which a call that is sent twice is done once."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

MAXIMUM_KEY_LENGTH = 255
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 characters. The same key with the same body is done once, however often it is sent.",
)


def read_idempotency_key(request: Request) -> str | None:
    """Return the call's key, or None without one. Raises `ValidationError`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAXIMUM_KEY_LENGTH and key.isascii() and key.isprintable()):
        message = f"Expected 1 to {MAXIMUM_KEY_LENGTH} printable ASCII characters in the header."
        raise ValidationError({"Idempotency-Key": [message]})
    return key
