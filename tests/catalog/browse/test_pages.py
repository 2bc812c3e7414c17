"""The pages: what a person sees, with and without labels, and what the pages cost."""

import errno
import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client
from PIL import ExifTags
from PIL import Image as PillowImage

from catalog.browse.summary import get_catalogue_summary
from catalog.models import StoredPicture
from catalog.pictures.storage import thumbnail_name
from classifier.evidence.product_page import SHOWN_LENGTH
from classifier.ml.artefacts import DEFAULT_ARTEFACT
from classifier.models import Classification, LabellingRun
from classifier.reviews.services import record_review
from tests.support.artefacts import register_active_version
from tests.support.factories import create_product, create_products
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.labels import create_labelled_product, label_everything
from tests.support.members import create_member, sign_in

pytestmark = pytest.mark.django_db


def list_titles(page: str) -> list[str]:
    """The titles in the grid, in order."""
    return re.findall(r'<span class="title" dir="auto">([^<]*)</span>', page)


@pytest.mark.parametrize("address", ["/", "/products/"])
def test_an_empty_catalogue_names_the_next_commands(client: Client, address: str) -> None:
    page = client.get(address).text
    assert "The catalogue is empty" in page
    for command in ("make demo", "python manage.py import_catalog FILE", "python manage.py label_catalog --wait"):
        assert command in page


def test_a_catalogue_without_labels_names_the_next_command(client: Client) -> None:
    create_product("Shirt", images=["demo/1.png"])
    page = client.get("/products/").text
    assert list_titles(page) == ["Shirt"]
    assert "Nothing on this page is labelled yet." in page
    assert "Not fetched yet" in page


def test_the_grid_shows_picture_label_and_confidence_newest_first(client: Client) -> None:
    create_model_version()
    create_product("Old shoe", images=[create_painted_image("Sneaker")])
    create_product("New bag", images=[create_painted_image("Bag", unsure=True)])
    create_product("Bare")
    label_everything()
    page = client.get("/products/").text
    assert list_titles(page) == ["Bare", "New bag", "Old shoe"]
    assert '<span class="chip">Footwear</span>' in page
    assert '<span class="status needs_review">Needs review</span>' in page
    assert "97.3 %" in page
    assert page.count('loading="lazy"') == 2
    assert "No image" in page
    assert "Nothing on this page is labelled yet." not in page


def test_filters_stay_in_the_address_and_in_the_form(client: Client) -> None:
    create_labelled_product("Red bag", group="Bags", garment="Bag")
    create_labelled_product("Red boot", group="Footwear", garment="Ankle boot")
    page = client.get("/products/", {"group": "Bags", "search": "red", "status": "labelled"}).text
    assert list_titles(page) == ["Red bag"]
    assert 'value="red"' in page
    assert re.findall(r'name="(\w+)" value="([^"]*)" checked', page) == [("group", "Bags"), ("status", "labelled")]


def test_every_filter_has_its_control_and_what_is_chosen_is_counted(client: Client) -> None:
    create_labelled_product("Red bag", group="Bags", garment="Bag", confidence=0.85)
    create_labelled_product("Blue bag", group="Bags", garment="Bag", confidence=0.84)
    chosen = {"garment": "Bag", "status": "labelled", "min_confidence": "0.85", "country": "de", "ordering": "id"}
    chosen |= {"confidence_below": "0.9", "source": "machine"}
    page = client.get("/products/", chosen).text
    assert list_titles(page) == ["Red bag"]
    assert 'name="garment" value="Bag" checked> Bag</label>' in page
    assert '<option value="0.85" selected>85 % and more</option>' in page
    assert '<option value="0.9" selected>Below 90 %</option>' in page
    assert '<option value="machine" selected>A machine</option>' in page
    assert '<input name="country" value="de"' in page
    assert '<span class="count">5<span class="hidden"> chosen</span></span>' in page


def test_what_the_form_leaves_empty_is_not_asked_for(client: Client) -> None:
    create_product("Shirt")
    names = ("search", "garment", "status", "min_confidence", "country", "ordering", "group", "cursor", "page_size")
    response = client.get("/products/", dict.fromkeys(names, ""))
    assert (response.status_code, list_titles(response.text)) == (200, ["Shirt"])
    assert "Clear" not in response.text


def test_garments_are_those_of_the_chosen_group(client: Client) -> None:
    create_labelled_product("Boot", group="Footwear", garment="Ankle boot")
    page = client.get("/products/", {"group": "Footwear", "garment": "Ankle boot"}).text
    assert re.findall(r'name="garment" value="([^"]*)"', page) == ["Sandal", "Sneaker", "Ankle boot"]


def test_the_text_of_a_country_is_shown_when_it_is_asked_for(client: Client) -> None:
    create_product("Shoe", descriptions={"us": ("Schuh", "A shoe"), "de": ("Ein Schuh", None)})
    assert "A shoe" not in client.get("/products/").text
    assert '<p class="text" dir="auto" lang="">Ein Schuh</p>' in client.get("/products/", {"country": "DE"}).text


def test_no_match_offers_the_way_back(client: Client) -> None:
    create_labelled_product("Red bag")
    page = client.get("/products/", {"search": "blue"}).text
    assert "No product matches" in page
    assert "The catalogue is empty" not in page


def test_a_filter_that_does_not_exist_is_explained(client: Client) -> None:
    response = client.get("/products/", {"group": "Hats"})
    assert response.status_code == 400
    assert "These filters cannot be applied" in response.text


def test_what_others_add_to_the_address_is_ignored(client: Client) -> None:
    create_product("Shirt")
    assert list_titles(client.get("/products/", {"utm_source": "mail"}).text) == ["Shirt"]


def test_older_and_newer_lead_through_all_products(client: Client) -> None:
    create_products(f"Product {number:02}" for number in range(50))
    first = client.get("/products/").text
    older = re.search(r'rel="next" href="([^"]*)"', first)
    assert older is not None
    second = client.get("/products/" + older[1].replace("&amp;", "&")).text
    assert list_titles(first) + list_titles(second) == [f"Product {number:02}" for number in range(49, 1, -1)]
    newer = re.search(r'rel="prev" href="([^"]*)"', second)
    assert newer is not None
    assert list_titles(client.get("/products/" + newer[1].replace("&amp;", "&")).text) == list_titles(first)
    assert client.get("/products/", {"cursor": "forged"}).status_code == 404


@pytest.mark.parametrize("products", [1, 5])
def test_the_grid_costs_two_queries(client: Client, products: int, django_assert_num_queries) -> None:
    version = create_model_version()
    for _ in range(products):
        create_labelled_product(model_version=version)
    get_catalogue_summary()
    with django_assert_num_queries(2):  # the products, and the versions to choose from
        page = client.get("/products/").text
    assert len(list_titles(page)) == products


def test_several_values_of_a_filter_mean_any_of_them_and_stay(client: Client) -> None:
    create_labelled_product("Bag", group="Bags", garment="Bag")
    create_labelled_product("Boot", group="Footwear", garment="Ankle boot", status="needs_review")
    create_labelled_product("Coat", group="Upper part", garment="Coat")
    page = client.get("/products/?group=Bags&group=Footwear&status=labelled&status=needs_review&garment=").text
    assert list_titles(page) == ["Boot", "Bag"]
    assert re.findall(r'value="([^"]*)" checked', page) == ["Footwear", "Bags", "labelled", "needs_review"]


def test_a_filter_that_has_one_value_is_refused_with_two(client: Client) -> None:
    response = client.get("/products/?ordering=id&ordering=confidence")
    assert response.status_code == 400
    assert "Expected one value; received 2." in response.text


def test_labels_are_found_by_the_version_that_gave_them(client: Client) -> None:
    # No label comes from the first, the third and the last.
    _, old, _ = (create_model_version(stage="retired") for _ in range(3))
    new, _ = create_model_version(), create_model_version(stage="candidate")
    create_labelled_product("Bag", model_version=old)
    create_labelled_product("Boot", model_version=new)
    page = client.get("/products/", {"model_version": old.name}).text
    assert list_titles(page) == ["Bag"]
    assert re.findall(r">(fake-.*)</option>", page) == [new.name, old.name]
    refused = client.get("/products/", {"model_version": "older"})
    assert (refused.status_code, "received &#x27;older&#x27;" in refused.text) == (400, True)


def test_the_percentage_of_a_card_stands_beside_what_it_is_of(client: Client) -> None:
    create_labelled_product("Boot", group="Footwear", garment="Sneaker", confidence=0.999)
    page = " ".join(client.get("/products/").text.split())
    assert '<span>Footwear</span> <span><span class="hidden">Confidence </span>99.9 %</span>' in page


def test_a_hostile_title_stays_text(client: Client) -> None:
    product = create_product("<script>alert(1)</script>")
    for address in ("/", "/products/", f"/products/{product.pk}/"):
        page = client.get(address).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>" not in page


def test_a_product_shows_every_image_with_its_probabilities_and_texts(client: Client) -> None:
    version = create_model_version()
    texts = {"us": ("Schuh", "Shoe"), "de": ("Schuh", None)}
    images = [create_painted_image("Sandal"), create_stored_image(b"no picture", url="tests/broken.png")]
    product = create_product("Summer shoe", images=images, descriptions=texts)
    label_everything()
    page = client.get(f"/products/{product.pk}/").text
    assert "Footwear" in page
    assert '<span class="garment">Sandal</span>' in page
    # Five groups and ten garments, for the one image that could be read.
    assert page.count('<svg class="bar ') == 15
    assert '<rect width="92.22" height="1"/>' in page
    assert version.name in page
    assert "The last try failed. This is not a picture (not_image)." in page
    assert "Shoe" in page
    assert "DE" in page


@pytest.mark.parametrize("images", [1, 6])
def test_a_product_costs_eighteen_queries(client: Client, images: int, django_assert_num_queries) -> None:
    create_model_version()
    painted = [create_painted_image("Sandal") for _ in range(images)]
    product = create_product("Shoe", images=painted, descriptions={"us": ("a", "b")})
    label_everything()
    for image in painted:
        record_review(image, group="Bags", reviewer=create_member())
    with django_assert_num_queries(18):
        page = client.get(f"/products/{product.pk}/").text
    assert page.count('class="image"') == images


def test_a_product_says_why_a_label_was_not_kept(client: Client) -> None:
    register_active_version()
    product = create_product(images=[create_painted_image("Dress", unsure=True)])
    label_everything()
    Classification.objects.update(confidence=0.6)
    page = client.get(f"/products/{product.pk}/").text
    manifest = json.loads((DEFAULT_ARTEFACT / "manifest.json").read_text())
    threshold = f"{100 * manifest['calibration']['threshold']:.1f} %"
    assert f"the network is 60.0 % sure, and a label of One piece is kept from {threshold} on." in page
    assert f"<dt>Kept from</dt><dd>{threshold}</dd>" in page


def test_a_product_says_why_a_confident_label_was_not_kept(client: Client) -> None:
    register_active_version()
    product = create_product(images=[create_painted_image("Bag", unsure=True)])
    label_everything()
    page = client.get(f"/products/{product.pk}/").text
    assert "the picture shows too little of what the network knows as clothes" in page


def test_an_image_has_what_was_said_of_it_newest_first(client: Client) -> None:
    version = create_model_version()
    image = create_painted_image("Sandal")
    product = create_product(images=[image])
    label_everything()
    record_review(image, group="Bags", reviewer=User.objects.create_user("anna"), note="A clutch")
    page = client.get(f"/products/{product.pk}/").text
    rows = re.findall(r"<td>([^<]*)</td>\s*<td class=\"number\">([^<]*)</td>\s*<td>([^<]*)</td>", page)
    run = LabellingRun.objects.get().pk
    rows = [tuple(" ".join(cell.split()) for cell in row) for row in rows]
    assert rows == [("Bags", "\N{EN DASH}", "A person"), ("Footwear, Sandal", "92.2 %", f"{version.name}, run {run}")]
    sign_in(client, "view_review", "view_labellingrun")
    page = client.get(f"/products/{product.pk}/").text
    assert "anna: A clutch" in page
    assert f'<a href="/labelling-runs/{run}/">run {run}</a>' in page


def test_what_was_said_of_the_same_picture_elsewhere_is_shown(client: Client) -> None:
    image = create_painted_image("Sandal")
    with default_storage.open(image.url) as file:
        twin = create_stored_image(file.read(), url="tests/twin.png")
    create_model_version()
    product, _ = create_product(images=[image]), create_product(images=[twin])
    label_everything()
    review = record_review(twin, group="Bags", reviewer=create_member())
    page = client.get(f"/products/{product.pk}/").context["page"]
    assert [entry.review for entry in page.images[0].opinions] == [review, None]
    assert (page.label.status, page.label.group) == ("reviewed", "Bags")


def test_what_was_said_is_bounded_and_the_newest_label_counts(client: Client) -> None:
    create_model_version()
    image = create_painted_image("Sandal")
    product = create_product(images=[image])
    reviewer = create_member()
    for number in range(SHOWN_LENGTH + 5):
        record_review(image, group="Bags" if number % 2 else "Footwear", reviewer=reviewer)
    page = client.get(f"/products/{product.pk}/").text
    assert page.count("A person</td>") == SHOWN_LENGTH
    assert "<h3>Footwear</h3>" in page


def test_reasons_are_offered_for_the_picture_that_was_labelled_and_no_other(client: Client) -> None:
    create_model_version()
    broken = create_stored_image(b"no picture", url="tests/broken.png")
    changed, labelled = create_painted_image("Bag"), create_painted_image("Sandal")
    product = create_product(images=[labelled, broken, changed, "https://shop.example/new.jpg"])
    label_everything()
    StoredPicture.objects.filter(image=changed).update(sha256="0" * 64)
    page = client.get(f"/products/{product.pk}/").text
    assert re.findall(r'href="(/images/\d+/explanation/)"', page) == [f"/images/{labelled.pk}/explanation/"]


def test_a_reviewed_product_says_whose_label_it_is(client: Client) -> None:
    create_model_version()
    image = create_painted_image("Sandal")
    product = create_product(images=[image])
    label_everything()
    record_review(image, group="Bags", reviewer=User.objects.create_user("reviewer"))
    page = client.get(f"/products/{product.pk}/").text
    assert "A person" in page
    assert '<span class="status reviewed">Reviewed</span>' in page


def test_a_product_without_image_and_label_names_the_next_command(client: Client) -> None:
    bare, pending = create_product(), create_product(images=["demo/1.png"])
    assert "import_catalog FILE" in client.get(f"/products/{bare.pk}/").text
    assert "label_catalog --wait" in client.get(f"/products/{pending.pk}/").text
    assert client.get(f"/products/{pending.pk + 1}/").status_code == 404


def test_the_ways_on_from_a_product_are_those_of_the_reader(client: Client) -> None:
    product = create_product()
    address = f"/products/{product.pk}/"
    assert ">Edit<" not in client.get(address).text
    sign_in(client, "change_product", "add_product")
    page = client.get(address).text
    assert ">Edit<" not in page
    assert '<a href="/import/">Import a file</a>' in page
    assert "import_catalog" not in page
    sign_in(client, "change_product", staff=True)
    assert f'<a href="/admin/catalog/product/{product.pk}/change/">Edit</a>' in client.get(address).text


def test_descriptions_are_shown_as_text_and_stored_as_they_came(client: Client) -> None:
    markup = "<p>Linen <b>cloth</b>&nbsp;so soft</p><p>3 &lt; 4</p>"
    product = create_product(descriptions={"us": (markup, markup)})
    page = client.get(f"/products/{product.pk}/").text
    assert page.count('<dd dir="auto">Linen cloth so soft\n3 &lt; 4</dd>') == 2
    assert ">Linen cloth so soft\n3 &lt; 4</p>" in client.get("/products/?country=us").text
    assert client.get(f"/api/v1/products/{product.pk}/").json()["descriptions"][0]["original_text"] == markup


def test_pages_can_be_read_and_nothing_else(client: Client) -> None:
    product = create_product()
    for address in ("/", "/products/", f"/products/{product.pk}/"):
        assert client.head(address).status_code == 200
        assert client.post(address).status_code == 405


def test_a_thumbnail_is_kept_for_ever_and_can_do_nothing(client: Client) -> None:
    create_model_version()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    sha256 = StoredPicture.objects.get().sha256
    response = client.get(f"/thumbnails/{sha256}.jpg")
    with default_storage.open(thumbnail_name(sha256)) as file:
        assert response.getvalue() == file.read()
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Disposition"] == f'inline; filename="{sha256}.jpg"'
    assert "Vary" not in response.headers


@pytest.mark.parametrize("name", ["0" * 64 + ".jpg", "0" * 64 + ".html", "0" * 63 + ".jpg", "..%2f..%2fsecret_key"])
def test_what_is_no_thumbnail_is_not_found_and_not_kept(client: Client, name: str) -> None:
    response = client.get(f"/thumbnails/{name}")
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "no-store"


def test_a_picture_in_full_size_is_its_pixels_and_nothing_that_came_with_them(client: Client) -> None:
    data = BytesIO()
    exif = PillowImage.Exif()
    exif[ExifTags.Base.Artist] = "somebody's name"
    PillowImage.new("RGB", (700, 900), "teal").save(data, "JPEG", exif=exif)
    product = create_product(images=[create_stored_image(data.getvalue(), url="tests/large.jpg")])
    create_model_version()
    label_everything()
    sha256 = StoredPicture.objects.get().sha256
    address = f"/pictures/{sha256}.jpg"
    assert f'<a class="picture" href="{address}">' in client.get(f"/products/{product.pk}/").text
    response = client.get(address)
    content = response.getvalue()
    with PillowImage.open(BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (700, 900))
    assert b"somebody's name" not in content
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["Content-Disposition"] == f'inline; filename="{sha256}.jpg"'


def test_a_picture_that_is_larger_than_a_screen_is_shown_smaller(client: Client) -> None:
    data = BytesIO()
    PillowImage.new("L", (5000, 1000)).save(data, "PNG")
    create_product(images=[create_stored_image(data.getvalue())])
    create_model_version()
    label_everything()
    response = client.get(f"/pictures/{StoredPicture.objects.get().sha256}.jpg")
    with PillowImage.open(BytesIO(response.getvalue())) as picture:
        assert picture.size == (2048, 410)


def test_a_picture_of_another_address_or_bytes_that_changed_are_not_found_in_full_size(client: Client) -> None:
    create_product(images=[image := create_painted_image("Bag")])
    create_model_version()
    label_everything()
    address = f"/pictures/{StoredPicture.objects.get().sha256}.jpg"
    assert client.get(address).status_code == 200
    Path(default_storage.path(image.url)).write_bytes(b"other bytes")
    assert client.get(address).status_code == 404
    StoredPicture.objects.update(url="https://shop.example/before.jpg")
    assert client.get(address).status_code == 404
    assert client.get(f"/pictures/{'0' * 64}.jpg").status_code == 404


def test_pictures_are_answered_in_words_while_the_storage_is_away(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_product(images=[create_painted_image("Bag")])
    create_model_version()
    label_everything()
    sha256 = StoredPicture.objects.get().sha256

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._open", fail)
    for address in (f"/thumbnails/{sha256}.jpg", f"/pictures/{sha256}.jpg"):
        response = client.get(address)
        assert (response.status_code, "does not answer" in response.text) == (503, True)
        assert response.headers["Retry-After"] == "30"
        assert response.headers["Cache-Control"] == "no-store"


def test_who_asks_for_many_pictures_in_full_size_has_to_wait(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "pictures", "1/min")
    create_product(images=[create_painted_image("Bag")])
    create_model_version()
    label_everything()
    address = f"/pictures/{StoredPicture.objects.get().sha256}.jpg"
    assert client.get(address).status_code == 200
    response = client.get(address)
    assert (response.status_code, "Too many pictures" in response.text) == (429, True)
    assert 0 < int(response.headers["Retry-After"]) <= 60


def test_who_may_start_labelling_is_led_there(client: Client) -> None:
    product = create_product(images=["demo/1.png"])
    sign_in(client, "add_labellingrun", "view_labellingrun")
    for address in ("/products/", f"/products/{product.pk}/"):
        page = client.get(address).text
        assert '<a href="/labelling-runs/">Start labelling</a>' in page
        assert "label_catalog" not in page


def test_the_way_back_leads_to_the_list_as_it_was_filtered(client: Client) -> None:
    product = create_product("Linen shirt")
    listed = client.get("/products/?search=linen&status=no_image&utm_source=mail&search=").text
    query = "?search=linen&amp;status=no_image"
    assert f'href="/products/{product.pk}/{query}"' in listed
    page = client.get(f"/products/{product.pk}/", {"search": "linen", "status": "no_image", "utm_source": "mail"}).text
    assert f'<a href="/products/{query}">' in page
    assert '<a href="/products/">↑ All products</a>' in client.get(f"/products/{product.pk}/").text


def test_pages_are_kept_by_nobody_so_that_the_way_back_shows_the_present(client: Client) -> None:
    product = create_product()
    for address in ("/", "/products/", f"/products/{product.pk}/"):
        assert client.get(address).headers["Cache-Control"] == "no-store"


def test_the_menu_has_two_halves(client: Client) -> None:
    halves = re.compile(r'<div role="group" aria-labelledby="menu-\w+">(.*?)</div>', re.DOTALL)
    names = [re.findall(r">(\w+)<", half) for half in halves.findall(client.get("/products/").text)]
    assert names == [["Work", "Products"], ["Model", "Data", "Experiments"]]
    client.force_login(User.objects.create_superuser("root"))
    names = [re.findall(r">(\w+)<", half) for half in halves.findall(client.get("/products/").text)]
    assert names == [
        ["Work", "Review", "Products", "Errors", "Import", "Outputs"],
        ["Model", "Versions", "Trainings", "Runs", "Figures", "Drift", "Data", "Experiments"],
    ]
