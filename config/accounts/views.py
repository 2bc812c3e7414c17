"""The pages on which people change their password, and make and revoke tokens of their own."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from config.accounts.forms import TokenForm
from config.accounts.models import Token
from config.accounts.services import LONGEST_DAYS, TokenNameError, create_token
from config.web.permissions import get_member


# Before it is asked who is signed in.
@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="dispatch")
class PasswordView(PasswordChangeView):
    """Another password for whoever is signed in and knows the present one; it ends their tokens and other sessions."""

    template_name = "accounts/password.html"
    success_url = reverse_lazy("password")

    def form_valid(self, form: Any) -> HttpResponse:
        """Change the password and say what has ended with the former one."""
        messages.success(
            self.request, "Your password is changed. Your tokens have ended, and so have your sign-ins elsewhere."
        )
        return super().form_valid(form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def token_list(request: HttpRequest) -> HttpResponse:
    """Answer with the user's tokens; by POST make another one and show its key, this once."""
    user = get_member(request)
    form = TokenForm(request.POST or None)
    context: dict[str, Any] = {"form": form, "longest": LONGEST_DAYS}
    if request.method == "POST" and form.is_valid():
        try:
            context["made"], context["key"] = create_token(user, **form.cleaned_data)
            context["form"] = TokenForm()
        except TokenNameError as error:
            form.add_error("name", str(error))
    context["tokens"] = Token.objects.filter(user=user)
    return render(request, "accounts/token_list.html", context, status=400 if context["form"].errors else 200)


@require_POST
@login_required
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of the user's own tokens, and answer with the page of the others."""
    get_object_or_404(Token, pk=pk, user=get_member(request)).delete()
    return redirect("token-list")
