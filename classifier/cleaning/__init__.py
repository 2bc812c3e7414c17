"""What nothing shows any more, and when it goes: pictures, what old versions said, features, files, sessions.

For `worker` and the faces; it knows none of the features beside it.
"""
