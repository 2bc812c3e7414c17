"""The data set: read, split, altered for training, searched for copies and doubtful labels.

For `network` and `inference`, `pipeline` and `reports`; `artefacts` beside it does not know it.
"""
