"""Which model version decides: the pages, calls and actions that activate one.

For the features above it, `worker`, `monitoring` and the faces; it may import `labelling` and all below.
"""
