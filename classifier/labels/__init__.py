"""What decides a product's label, and the writes and reads of it.

For every package above it; of the classifier it may import `registry` and `runs`, the tables and `classifier.ml`.
"""
