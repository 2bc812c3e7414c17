"""The machine-learning core: pictures in, labels out, without Django and without the catalogue.

Every package of the classifier may import it, the catalogue `labels` alone.
"""
