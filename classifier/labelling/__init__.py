"""Labelling runs: the ledger, batches, steps, errors, and their pages and calls.

For `adoption`, the features above it, `worker`, `monitoring` and the faces; it never asks them back.
"""
