"""Who signs in: people, and programs by a token in a person's name.

It knows neither of the other apps. Of them only a restore, which leaves the tokens out, knows it.
"""
