"""Tests of labelling are about pictures; which product shows them matters to few."""

from tests.support.shelf import shelf  # noqa: F401
