"""The content-security policy: what a page of ours may load."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

GetResponse = Callable[[HttpRequest], HttpResponse]

# Everything comes from this site, nothing is inline. `data:` pictures are the admin's icons.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Swagger UI writes style attributes into the page; its scripts are files all the same.
API_DOCUMENTATION_POLICY = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
# The admin's choosers write style attributes, too: those, and no style elements.
ADMIN_POLICY = f"{PAGE_POLICY}; style-src-attr 'unsafe-inline'"
# For files made from what strangers sent: even if one were taken for a page, it could do nothing.
FILE_POLICY = "default-src 'none'; sandbox"
# The same for plots, which carry their colours in style attributes, and for pictures by themselves, which browsers lay
# out by such attributes.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


class ContentSecurityPolicyMiddleware:
    """Put the policy on every response that does not bring its own; pages are kept by nobody, so Back asks anew."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Return the response with its `Content-Security-Policy` header."""
        response = self.get_response(request)
        is_admin = request.resolver_match is not None and request.resolver_match.app_name == "admin"
        response.headers.setdefault("Content-Security-Policy", ADMIN_POLICY if is_admin else PAGE_POLICY)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response
