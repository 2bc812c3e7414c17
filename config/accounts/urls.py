"""Addresses of the pages about accounts."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from config.accounts.views import PasswordView, token_list, token_revoke

sign_in = LoginView.as_view(template_name="accounts/sign_in.html", http_method_names=["get", "head", "post"])

urlpatterns = [
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("password/", PasswordView.as_view(), name="password"),
    path("tokens/", token_list, name="token-list"),
    path("tokens/<int:pk>/revoke/", token_revoke, name="token-revoke"),
]
