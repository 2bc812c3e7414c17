"""What words and reviews of a catalogue teach: heads on stored features, and which pictures to look at next.

Trainings, replays and the queues of reviews import it. NumPy and SciPy; no network is trained.
"""
