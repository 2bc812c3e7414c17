"""Who signs in: people, and programs by a token in a person's name.

It knows neither of the other apps, and they do not know it.
"""
