"""What every worker process does besides its tasks: timers, the sweep, canaries.

For `monitoring` and the faces; the Celery application names its timers by string.
"""
