"""One product and why it has its label: its page, its JSON, explanations, and pictures from outside.

For the faces, `monitoring` and `worker` alone; the features beside it do not know it.
"""
