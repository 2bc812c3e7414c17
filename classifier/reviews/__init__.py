"""People's labels: one at a time, or a run of many in the background.

For the faces, `monitoring` and `worker` alone; the features beside it do not know it.
"""
