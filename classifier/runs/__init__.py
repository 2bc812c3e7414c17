"""What every kind of run shares: how it is sent again, whether somebody works on it, its buttons, and how it is shown.

How a run of one kind is cancelled is in its feature's `runs.py`. Features use this package; it knows the tables alone.
"""
