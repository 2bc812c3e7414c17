"""Addresses of the pages about accounts."""

from django.urls import path

from config.accounts.views import token_list, token_revoke

urlpatterns = [
    path("tokens/", token_list, name="token-list"),
    path("tokens/<int:pk>/revoke/", token_revoke, name="token-revoke"),
]
