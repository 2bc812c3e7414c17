"""The catalogue: products, their pictures and texts, and the current label of each product as a fact.

The classifier stands on it and may import it; it imports nothing of the classifier but the names in
`classifier.ml.labels`.
"""
