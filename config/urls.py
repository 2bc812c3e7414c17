"""The site's URLs."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from config.web.api_docs import ApiDocumentationView, ApiSchemaView

api_urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("catalog.api.urls")),
    path("", include("classifier.api.urls")),
    path("schema/", ApiSchemaView.as_view(), name="api-schema"),
    path("docs/", ApiDocumentationView.as_view(url_name="api-schema"), name="api-docs"),
]

urlpatterns = [
    path("", include("config.accounts.urls")),
    path("", include("catalog.urls")),
    path("", include("classifier.urls")),
    path("api/v1/", include(api_urlpatterns)),
    # Where labels were before they became the catalogue's.
    re_path(
        r"^admin/classifier/productlabel/(?P<page>.*)$",
        RedirectView.as_view(url="/admin/catalog/productlabel/%(page)s", query_string=True, permanent=True),
        name="product-label-moved",
    ),
    path("admin/", admin.site.urls),
]

handler400 = "config.web.problems.bad_request"
handler403 = "config.web.problems.permission_denied"
handler404 = "config.web.problems.page_not_found"
handler500 = "config.web.problems.server_error"
