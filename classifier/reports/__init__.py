"""The pages that show stored reports on data and models, and the pictures of these.

For the faces, `monitoring` and `worker` alone; the features beside it do not know it.
"""
