"""Training runs: rows, heartbeat, worker's task, pages and calls.

For the faces, `monitoring` and `worker` alone; the features beside it do not know it.
"""
