"""Products and images in the admin, with their labels and the actions that lead to new ones."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet, TextField
from django.forms import Textarea
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from catalog.links import get_thumbnail_path
from catalog.models import Image, Product, ProductDescription, ProductImages
from catalog.paging import CappedPaginator
from classifier.dispatch import start_labelling_run
from classifier.listing import ProductCriteria, get_label_summary, list_labelled_products, with_label_status
from classifier.ml.labels import GROUPS
from classifier.models import ProductLabel
from classifier.selectors import NoActiveModelVersionError
from classifier.services import record_review

admin.site.site_header = admin.site.site_title = "Fashion catalogue"
admin.site.index_title = "Administration"

# A person looks at what they mark; more than a page of it is a slip of the mouse.
MAXIMUM_MARKED = 100
# Products that an image's page links to; the same picture may stand for any number.
SHOWN_PRODUCTS = 10
# Characters that turn the direction of what follows them, on our page as well: U+061C, U+200E to U+2069.
BIDI_CONTROLS = dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def render_thumbnail(sha256: str | None) -> SafeString | str:
    """Return our copy of a picture as an element of 64 pixels that is loaded when it comes into view."""
    if not sha256:
        return "-"
    return format_html('<img src="{}" alt="" width="64" height="64" loading="lazy">', get_thumbnail_path(sha256))


def get_member(request: HttpRequest) -> User:
    """Return who is signed in; the admin has seen to it that somebody is."""
    return cast(User, request.user)


class LargeTableAdmin(admin.ModelAdmin):
    """An admin whose pages cost the same however many rows there are: no full counts, sorted by id only."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = CappedPaginator
    list_per_page = 50
    sortable_by: ClassVar[tuple[str, ...]] = ("id",)
    ordering: ClassVar[tuple[str, ...]] = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the row with exactly this id, if the term is one; otherwise what `search_fields` find."""
        term = search_term.strip()
        if term.isascii() and term.isdigit():
            by_id = queryset.filter(pk=term)
            if by_id.exists():
                return by_id, False
        return super().get_search_results(request, queryset, search_term)


class LabelGroupFilter(admin.SimpleListFilter):
    """Products by the group of their label."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the five groups."""
        return [(group, group) for group in GROUPS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        """Return the products of the chosen group."""
        return queryset.filter(label__group=self.value()) if self.value() else queryset


class LabelStatusFilter(admin.SimpleListFilter):
    """Products by the status of their label, those without one included."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return every status."""
        return [(value, label.capitalize()) for value, label in ProductLabel.Status.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Product]) -> QuerySet[Product]:
        """Return the products of the chosen status."""
        return with_label_status(queryset, self.value() or "")


class ProductImagesInline(admin.TabularInline):
    """The images of a product, by index."""

    model = ProductImages
    extra = 0
    fields = ("thumbnail", "image", "image_index")
    readonly_fields = ("thumbnail",)
    autocomplete_fields = ("image",)
    ordering = ("image_index",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProductImages]:
        """Return the places with their image and our copy of it."""
        return super().get_queryset(request).select_related("image__stored_picture")

    @admin.display(description="")
    def thumbnail(self, place: ProductImages) -> SafeString | str:
        """Show the image."""
        picture = getattr(place.image, "stored_picture", None) if place.image_id else None
        return render_thumbnail(picture and picture.sha256)


class ProductDescriptionInline(admin.TabularInline):
    """The texts of a product."""

    model = ProductDescription
    extra = 0
    formfield_overrides = {TextField: {"widget": Textarea(attrs={"rows": 3, "cols": 45})}}


class MarkingAdmin(LargeTableAdmin):
    """An admin whose actions give what is selected a person's label."""

    marked_name = "products"

    def has_review_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may give labels."""
        return request.user.has_perm("classifier.add_review")

    def find_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any] | None:
        """Return the selected rows, or None and a message when they are more than a person looks at."""
        rows = list(queryset[: MAXIMUM_MARKED + 1])
        if len(rows) <= MAXIMUM_MARKED:
            return rows
        text = f"Expected at most {MAXIMUM_MARKED} {self.marked_name} to mark at a time; more were selected."
        self.message_user(request, text, messages.ERROR)
        return None

    def mark(self, request: HttpRequest, *, images: Iterable[Image], rows: Sequence[Any], group: str) -> None:
        """Record a person's label for the images, in one transaction, and log it for the rows that show them."""
        note = f"Marked in the list of {self.marked_name}."
        with transaction.atomic():
            for image in images:
                record_review(image, group=group, reviewer=get_member(request), note=note)
            LogEntry.objects.log_actions(get_member(request).pk, rows, CHANGE, change_message=f"Marked as {group}.")
        self.message_user(request, f"{len(rows)} {self.marked_name} are marked as {group}.", messages.SUCCESS)


def build_mark_action(group: str) -> Callable[[Any, HttpRequest, QuerySet[Any]], None]:
    """Return the admin action that gives each selected product's first image, or each image, a person's label."""

    @admin.action(description=f"Mark as {group}", permissions=["review"])
    def mark_as_group(model_admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        model_admin.mark_selected(request, queryset, group=group)

    mark_as_group.__name__ = f"mark_as_{group.lower().replace(' ', '_')}"
    return mark_as_group


@admin.register(Product)
class ProductAdmin(MarkingAdmin):
    """Products with their picture and label."""

    list_display = ("thumbnail", "id", "short_title", "label_text", "confidence", "status", "labelled_at")
    list_display_links = ("id", "short_title")
    list_filter = (LabelGroupFilter, LabelStatusFilter)
    search_fields = ("title",)
    search_help_text = "An id, or words of the title."
    formfield_overrides = {TextField: {"widget": Textarea(attrs={"rows": 2, "cols": 90})}}
    inlines = (ProductImagesInline, ProductDescriptionInline)
    actions = ("label_selected", *(build_mark_action(group) for group in GROUPS))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        """Return the products with what the list shows, in one query."""
        return list_labelled_products(ProductCriteria()).order_by(*self.ordering)

    def view_on_site(self, product: Product) -> str:
        """Return the address of the product's page."""
        return reverse("product-detail", args=[product.pk])

    @admin.display(description="")
    def thumbnail(self, product: Product) -> SafeString | str:
        """Show the first image."""
        return render_thumbnail(product.thumbnail_sha256)

    @admin.display(description="title")
    def short_title(self, product: Product) -> str:
        """Show the start of the title, without characters that would turn the row around."""
        return Truncator(product.title.translate(BIDI_CONTROLS)).chars(60)

    @admin.display(description="label")
    def label_text(self, product: Product) -> str | None:
        """Show the label's group and garment."""
        label = get_label_summary(product)
        return " · ".join(filter(None, (label.group, label.garment))) or None

    @admin.display
    def confidence(self, product: Product) -> str | None:
        """Show the label's confidence in per cent."""
        confidence = get_label_summary(product).confidence
        return None if confidence is None else f"{confidence:.1%}"

    @admin.display
    def status(self, product: Product) -> str:
        """Show the label's status in words."""
        return get_label_summary(product).status_name

    @admin.display
    def labelled_at(self, product: Product) -> Any:
        """Show when the label was given."""
        return get_label_summary(product).labelled_at

    def has_label_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may start labelling runs."""
        return request.user.has_perm("classifier.add_labellingrun")

    @admin.action(description="Label selected products", permissions=["label"])
    def label_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> None:
        """Start a labelling run over every image of the selected products."""
        images = Image.objects.filter(product_images__product__in=queryset.order_by().values("pk")).distinct()
        try:
            run = start_labelling_run(images=images, user=get_member(request))
        except NoActiveModelVersionError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.log_addition(request, run, "Started over selected products.")
        address = reverse("admin:classifier_labellingrun_change", args=[run.pk])
        text = format_html('<a href="{}">Labelling run {}</a> started over {} images.', address, run.pk, run.total)
        self.message_user(request, text, messages.SUCCESS)

    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Product], *, group: str) -> None:
        """Record a person's label for the first image of each product: all of them or, with too many, none."""
        products = self.find_selected(request, queryset)
        if products is None:
            return
        placements = ProductImages.objects.filter(product__in=[product.pk for product in products], image_index=0)
        images = Image.objects.filter(product_images__in=placements).distinct().order_by("pk")
        marked = [product for product in products if product.image_url is not None]
        self.mark(request, images=images, rows=marked, group=group)
        if skipped := len(products) - len(marked):
            self.message_user(request, f"{skipped} selected products have no image to mark.", messages.WARNING)


@admin.register(Image)
class ImageAdmin(MarkingAdmin):
    """Images by URL, with our copy of each."""

    list_display = ("thumbnail", "id", "url", "size")
    list_display_links = ("id", "url")
    list_select_related = ("stored_picture",)
    search_fields = ("url",)
    search_help_text = "An id, or a part of the URL."
    fields = ("url", "thumbnail", "products", "size", "sha256", "fetched_at")
    readonly_fields = ("thumbnail", "products", "size", "sha256", "fetched_at")
    actions = tuple(build_mark_action(group) for group in GROUPS)
    marked_name = "images"

    @admin.display(description="")
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

    def mark_selected(self, request: HttpRequest, queryset: QuerySet[Image], *, group: str) -> None:
        """Record a person's label for each image: all of them or, with too many, none."""
        images = self.find_selected(request, queryset.order_by("pk"))
        if images is not None:
            self.mark(request, images=images, rows=images, group=group)

    @admin.display
    def size(self, image: Image) -> str | None:
        """Show width and height in pixels."""
        picture = getattr(image, "stored_picture", None)
        return f"{picture.width} x {picture.height}" if picture else None

    @admin.display(description="SHA-256")
    def sha256(self, image: Image) -> str | None:
        """Show the hash of the picture's bytes."""
        picture = getattr(image, "stored_picture", None)
        return picture.sha256 if picture else None

    @admin.display
    def fetched_at(self, image: Image) -> Any:
        """Show when we read it."""
        picture = getattr(image, "stored_picture", None)
        return picture.fetched_at if picture else None
