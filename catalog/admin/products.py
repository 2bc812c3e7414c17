"""Products and images in the admin, with their labels and the actions that lead to new ones."""

from functools import partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import connection, transaction
from django.db.models import QuerySet, TextField
from django.forms import Textarea
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.formats import localize
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from catalog.admin.address_page import answer_address_page
from catalog.admin.formsets import DescriptionFormSet, PlaceFormSet
from catalog.admin.lists import (
    LabelConfidenceFilter,
    LabelEvidenceFilter,
    LabelGarmentFilter,
    LabelGarmentUnsureFilter,
    LabelGroupFilter,
    LabelReasonFilter,
    LabelStatusFilter,
    render_thumbnail,
    show_confidence,
)
from catalog.browse.actions import ListButton, show_in_list
from catalog.browse.filters import PRODUCT_ORDERINGS, ProductCriteria
from catalog.browse.listing import list_labelled_products
from catalog.interchange.exporting import encode_products
from catalog.interchange.views import BUSY, BusyError, build_export_response
from catalog.interchange.writing import ExportReport
from catalog.labels import get_label_summary, refresh_labels, remove_labels
from catalog.models import Image, Product, ProductDescription, ProductImages
from catalog.pictures.replacing import replace_image
from catalog.search.query import TextSearch
from config.db.statements import allow_long_statements
from config.web.admin import LargeTableAdmin
from config.web.bodies import takes_body
from config.web.forms import KeepingForm
from config.web.texts import remove_bidi_controls

admin.site.site_header = admin.site.site_title = "Fashion catalogue"
admin.site.index_title = "Administration"
# Its room is the lists'.
admin.site.enable_nav_sidebar = False

# Products that an image's page links to; the same picture may stand for any number.
SHOWN_PRODUCTS = 10
# The texts of a product in many languages, as browsers write them out.
FORM_BYTES = 8 * 1_048_576
TOO_LONG = "Expected at most 8 MB of text; import longer texts by import_catalog."
takes_texts = takes_body(FORM_BYTES, expected=TOO_LONG, is_typed=True)


class ProductImagesInline(admin.TabularInline):
    """The images of a product, by index."""

    model = ProductImages
    formset = PlaceFormSet
    extra = 0
    fields = ("thumbnail", "image", "image_index")
    readonly_fields = ("thumbnail",)
    autocomplete_fields = ("image",)
    ordering = ("image_index",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProductImages]:
        """Return the places with their image and our copy of it."""
        return super().get_queryset(request).select_related("image__stored_picture")

    @admin.display(description="picture")
    def thumbnail(self, place: ProductImages) -> SafeString | str:
        """Show the image."""
        picture = place.image.picture if place.image_id else None
        return render_thumbnail(picture.sha256 if picture else None)


class ProductDescriptionInline(admin.TabularInline):
    """The texts of a product."""

    model = ProductDescription
    form = KeepingForm
    formset = DescriptionFormSet
    extra = 0
    formfield_overrides = {TextField: {"widget": Textarea(attrs={"rows": 3, "cols": 45})}}


class ExportingMixin(LargeTableAdmin):
    """An admin of products whose actions answer with what is selected, as a file."""

    def has_export_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may export products with their labels."""
        return request.user.has_perm("catalog.view_productlabel")

    @show_in_list(ListButton("Export", "CSV", is_file=True))
    @admin.action(description="Export selected products as CSV", permissions=["export"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="csv")

    @show_in_list(ListButton("Export", "JSON Lines", is_file=True))
    @admin.action(description="Export selected products as JSON Lines", permissions=["export"])
    def export_jsonl(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponseBase | None:
        """Answer with the selected products as a file."""
        return self._export(request, queryset, suffix="jsonl")

    def _export(self, request: HttpRequest, queryset: QuerySet[Product], *, suffix: str) -> HttpResponseBase | None:
        if self.is_more_than(request, queryset, maximum=self.maximum_selected, verb="export"):
            return None
        parts = encode_products(queryset, ordering=PRODUCT_ORDERINGS["id"], suffix=suffix, report=ExportReport())
        try:
            return build_export_response(parts, suffix=suffix, name="selected-products")
        except BusyError:
            self.message_user(request, BUSY, messages.ERROR)
            return None


class WithLabelsMixin(LargeTableAdmin):
    """Rows that labels and what was said of pictures follow; these go with them, whoever else may not delete them."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], Any]:
        """Return what would be deleted; for a superuser no permission is missing."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set() if request.user.is_superuser else missing, protected

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete one row as a selection of one."""
        self.delete_queryset(request, self.model._default_manager.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the rows with all that goes with them, or none."""
        with transaction.atomic(), allow_long_statements():
            self.remove(request, queryset)

    def remove(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete the rows, inside a transaction."""
        super().delete_queryset(request, queryset)


@admin.register(Product)
class ProductAdmin(WithLabelsMixin, ExportingMixin):
    """Products with their picture and label; whoever decides labels registers a subclass with more actions."""

    form = KeepingForm
    change_list_template = "admin/catalog/product_change_list.html"
    list_display = ("thumbnail", "id", "short_title", "label_text", "confidence", "status", "labelled_at")
    list_display_links = ("id", "short_title")
    list_filter: ClassVar[Any] = (
        LabelGroupFilter,
        LabelGarmentFilter,
        LabelGarmentUnsureFilter,
        LabelStatusFilter,
        LabelReasonFilter,
        LabelEvidenceFilter,
        LabelConfidenceFilter,
    )
    search_fields = ("title",)  # any, so that there is a search; it looks where the text search does
    search_help_text = "An id, or words of the title and the descriptions, parts of words included."
    formfield_overrides = {TextField: {"widget": Textarea(attrs={"rows": 2, "cols": 90})}}
    inlines = (ProductImagesInline, ProductDescriptionInline)
    actions = ("export_csv", "export_jsonl", *LargeTableAdmin.actions)

    def has_import_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may import files, which adds products and changes them."""
        return self.has_add_permission(request) and self.has_change_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Answer with the list, and the link to the import for those who may."""
        context = {"has_import_permission": self.has_import_permission(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """Return the products with what the list shows, in one query."""
        return list_labelled_products(ProductCriteria()).order_by(*self.ordering)

    def search_texts(
        self, request: HttpRequest, queryset: QuerySet[Product], term: str
    ) -> tuple[QuerySet[Product], bool]:
        """Return the products that the catalogue's text search finds, each once."""
        return TextSearch(term).find(queryset), False

    @takes_texts
    def add_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """Answer with an empty form, or add what it brings."""
        return super().add_view(request, *args, **options)

    @takes_texts
    def change_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """Answer with the product's form, or change what it brings."""
        return super().change_view(request, *args, **options)

    @allow_long_statements()
    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save images and texts, then what follows for the product's label."""
        super().save_related(request, form, formsets, change)
        refresh_labels([form.instance.pk])

    def remove(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Delete the products with their labels."""
        remove_labels(list(queryset.order_by("pk").values_list("pk", flat=True)))
        super().remove(request, queryset)

    def view_on_site(self, product: Product) -> str:
        """Return the address of the product's page."""
        return reverse("product-detail", args=[product.pk])

    @admin.display(description="picture")
    def thumbnail(self, product: Product) -> SafeString | str:
        """Show the first image."""
        return render_thumbnail(product.thumbnail_sha256)

    @admin.display(description="title")
    def short_title(self, product: Product) -> str:
        """Show the start of the title, without characters that would turn the row around."""
        return Truncator(remove_bidi_controls(product.title)).chars(60)

    @admin.display(description="label")
    def label_text(self, product: Product) -> str | None:
        """Show the label's group and garment."""
        label = get_label_summary(product)
        return " · ".join(filter(None, (label.group, label.garment))) or None

    @admin.display(description="confidence in the group")
    def confidence(self, product: Product) -> str:
        """Show the label's confidence in per cent."""
        return show_confidence(get_label_summary(product))

    @admin.display
    def status(self, product: Product) -> str:
        """Show the label's status in words."""
        return get_label_summary(product).status_name

    @admin.display
    def labelled_at(self, product: Product) -> Any:
        """Show when the label was given."""
        return get_label_summary(product).labelled_at


@admin.register(Image)
class ImageAdmin(WithLabelsMixin):
    """Images by URL, with our copy of each."""

    list_display = ("thumbnail", "id", "url", "size")
    list_display_links = ("id", "url")
    list_select_related = ("stored_picture",)
    search_fields = ("url",)
    search_help_text = "An id, a URL, how it begins, or a part of it."
    fields = ("url", "thumbnail", "products", "size", "sha256", "fetched_at")
    readonly_fields = ("thumbnail", "products", "size", "sha256", "fetched_at")
    change_form_template = "admin/catalog/image_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        """Return the admin's addresses and that of the replacement."""
        replace = self.admin_site.admin_view(partial(answer_address_page, self, replace=self.replace_address))
        return [path("<int:pk>/replace-address/", replace, name="catalog_image_replace_address"), *super().get_urls()]

    def replace_address(self, image: Image, *, url: str) -> tuple[Image, int]:
        """Show the image of another address wherever this one is shown; return it, and in how many products."""
        return replace_image(image, url=url)

    def get_readonly_fields(self, request: HttpRequest, obj: Image | None = None) -> tuple[str, ...]:
        """Keep the address of an image that is there: what was said of its picture was said of that address."""
        return (*self.readonly_fields, "url") if obj else self.readonly_fields

    def remove(self, request: HttpRequest, queryset: QuerySet[Image]) -> None:
        """Delete the images with what was said of their pictures; a person's label stays for other images of these."""
        image_ids = queryset.order_by().values("pk")
        if connection.features.has_select_for_update:
            # Images before labels, as whoever marks a picture has them: otherwise each would wait for the other.
            locked = Image.objects.select_for_update(no_key=True).filter(pk__in=image_ids).order_by("pk")
            list(locked.values_list("pk", flat=True))
        shown = ProductImages.objects.filter(image__in=image_ids, image_index=0)
        product_ids = list(shown.order_by("product_id").values_list("product_id", flat=True))
        super().remove(request, queryset)
        refresh_labels(product_ids)

    def search_texts(self, request: HttpRequest, queryset: QuerySet[Image], term: str) -> tuple[QuerySet[Image], bool]:
        """Return the images whose URL begins so, found by an index, or else those whose URL contains it."""
        beginning = queryset.filter(url__startswith=term)
        if beginning.exists():
            return beginning, False
        return super().search_texts(request, queryset, term)

    @admin.display(description="picture")
    def thumbnail(self, image: Image) -> SafeString | str:
        """Show our copy."""
        return render_thumbnail(self.sha256(image))

    @admin.display
    def products(self, image: Image) -> SafeString | str:
        """Link to the pages of the first products that show the image."""
        ids = (
            image.product_images.order_by("product_id").values_list("product_id", flat=True).distinct()[:SHOWN_PRODUCTS]
        )
        links = [(reverse("product-detail", args=[pk]), pk) for pk in ids]
        return format_html_join(", ", '<a href="{}">Product {}</a>', links) or "-"

    @admin.display
    def size(self, image: Image) -> str | None:
        """Show width and height in pixels."""
        return f"{image.picture.width} x {image.picture.height}" if image.picture else None

    @admin.display(description="SHA-256")
    def sha256(self, image: Image) -> str | None:
        """Show the hash of the picture's bytes."""
        return image.picture.sha256 if image.picture else None

    @admin.display
    def fetched_at(self, image: Image) -> str | None:
        """Show when we read it."""
        return localize(image.picture.fetched_at) if image.picture else None
