"""What every kind of run shares: how it is sent again and cancelled, whether somebody works on it, and how it is shown.

The packages of features use it; it knows the tables alone.
"""
