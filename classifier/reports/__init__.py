"""The pages Data and Experiments. For the faces, `monitoring` and `worker` alone."""
