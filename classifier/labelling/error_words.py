"""The error queue's codes in words that say what is wrong with a picture."""

from collections.abc import Mapping

ERROR_WORDS: Mapping[str, str] = {
    "url_invalid": "The address is not one that pictures are fetched from",
    "url_blocked": "The address leads into a network that is closed to us",
    "dns_error": "The host's name is not known",
    "connect_error": "The host does not answer",
    "tls_error": "The host's certificate is not valid",
    "timeout": "The host took too long",
    "too_many_redirects": "The host sends us on and on",
    "http_4xx": "The host does not give out this picture",
    "http_5xx": "The host has an error",
    "rate_limited": "The host wants to be asked less often",
    "too_large": "The file is too large",
    "truncated": "The file ends too early",
    "bad_encoding": "The file came compressed, which we do not open",
    "not_found": "There is no such file in our storage",
    "not_image": "This is not a picture",
    "format_not_allowed": "The format is none of JPEG, PNG, WebP and GIF",
    "too_many_pixels": "The picture has too many pixels",
    "too_small": "The picture is too small",
    "decode_error": "The picture is damaged",
    "worker_crash": "The picture brought a worker down three times",
}


def get_error_words(code: str) -> str:
    """Return the code in words; one that has none is returned as it is."""
    return ERROR_WORDS.get(code, code)
