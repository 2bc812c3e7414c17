"""What a new token is made of, from the page and the command."""

from django import forms

from config.accounts.services import LONGEST_DAYS, USUAL_DAYS


class TokenForm(forms.Form):
    """What a token is called, and for how many days it may be used."""

    name = forms.CharField(max_length=100)
    days = forms.IntegerField(min_value=1, max_value=LONGEST_DAYS, initial=USUAL_DAYS)
