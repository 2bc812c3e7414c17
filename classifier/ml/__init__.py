"""The machine-learning core: pictures in, labels out, without Django and without the catalogue."""
