"""The page and the call of similar products. For the faces, `monitoring` and `worker` alone."""
