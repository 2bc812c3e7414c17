"""The classifier: decides labels and says why, from model versions, runs and people's reviews.

The project's composition root (`config.urls`, `config.celery`, the settings) alone names it; the catalogue never does.
"""
