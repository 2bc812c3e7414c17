"""What every kind of run shares: how it is sent again and cancelled, and how the admin and the API show it.

The packages of features use it; it knows the tables alone.
"""
