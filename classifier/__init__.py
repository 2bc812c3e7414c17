"""The classifier: decides labels and says why, from model versions, runs and people's reviews.

The project's composition root (`config.urls`, `config.celery`, the settings) names it; the catalogue takes the names in
`classifier.ml.labels`, and names by string the tables to which the row of a label refers.
"""
