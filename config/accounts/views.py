"""The page on which people make and revoke tokens of their own."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from config.accounts.forms import TokenForm
from config.accounts.models import Token
from config.accounts.services import LONGEST_DAYS, TokenNameError, create_token
from config.web.permissions import get_member


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
