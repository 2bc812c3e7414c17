"""What a worker process does: which tasks, and besides them timers, the sweep, canaries.

For `monitoring` and the faces; the Celery application names its tasks and timers by string.
"""
