"""The admin of products and images: what it shows, what it costs, who may act."""

from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import transaction
from django.test import Client, RequestFactory

from catalog.models import Image, Product, ProductLabel
from classifier.labels.services import lock_images
from classifier.models import LabellingRun, LabelTask, QueueCanary, Review, ReviewRun
from classifier.reviews.tasks import record_reviews_task
from config.web.admin import LargeTableAdmin
from tests.support.blocked import run_until_blocked
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.importing import Importer, counts
from tests.support.labels import create_labelled_product, label_everything

pytestmark = pytest.mark.django_db

PRODUCTS = "/admin/catalog/product/"
IMAGES = "/admin/catalog/image/"


def sign_in(client: Client, *permissions: str) -> User:
    """Sign a member of staff in who has these permissions only."""
    user = User.objects.create_user("member", is_staff=True)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client.force_login(user)
    return user


def ask(client: Client, action: str, *rows: Product | Image, address: str = PRODUCTS, **fields: Any) -> Any:
    """Choose an action for the rows of a list; the page that asks."""
    response = client.post(address, {"action": action, "_selected_action": [row.pk for row in rows], **fields})
    assert response.status_code == 200
    return response


def list_counts(response: Any) -> dict[str, str]:
    """What the page that asks counts."""
    return dict(response.context["question"].counts)


def act(client: Client, action: str, *rows: Product | Image, address: str = PRODUCTS, **fields: Any) -> list[str]:
    """Choose an action for the rows of a list and say yes; the messages that follow."""
    data = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "yes", **fields}
    response = client.post(address, data, follow=True)
    assert response.status_code == 200
    return [str(message) for message in response.context["messages"]]


def list_images_to_review() -> list[int]:
    """The images that the only review run is still to mark."""
    return list(ReviewRun.objects.get().selection.order_by("image_id").values_list("image_id", flat=True))


def list_ids(client: Client, **parameters: object) -> list[int]:
    """The ids in the list of products."""
    return [product.pk for product in client.get(PRODUCTS, parameters).context["cl"].result_list]


def test_the_list_shows_thumbnails_and_labels(admin_client: Client) -> None:
    create_model_version()
    create_product("Summer\u202e shoe", images=[create_painted_image("Sandal")])
    label_everything()
    page = admin_client.get(PRODUCTS).text
    assert 'width="64" height="64" loading="lazy"' in page
    assert "Footwear · Sandal" in page
    assert "97.3%" in page
    assert "Summer shoe" in page


def test_the_list_can_be_filtered_and_searched(admin_client: Client) -> None:
    bag = create_labelled_product("Red bag", group="Bags", garment="Bag")
    boot = create_labelled_product("Red boot", group="Footwear", garment="Ankle boot", status="needs_review")
    bare = create_product(f"Size {bag.pk}")
    assert list_ids(admin_client) == [bare.pk, boot.pk, bag.pk]
    assert list_ids(admin_client, group="Bags") == [bag.pk]
    assert list_ids(admin_client, status="needs_review") == [boot.pk]
    assert list_ids(admin_client, status="no_image") == [bare.pk]
    assert list_ids(admin_client, q="red boot") == [boot.pk]
    assert list_ids(admin_client, q=str(bag.pk)) == [bag.pk]
    assert list_ids(admin_client, q="9" * 30) == list_ids(admin_client, q="9" * 4_400) == []
    assert list_ids(admin_client, garment="Ankle boot") == [boot.pk]
    assert list_ids(admin_client, confidence="0.9") == [boot.pk, bag.pk]
    assert list_ids(admin_client, confidence="0.7") == []
    assert list_ids(admin_client, confidence="nonsense", model_version="x") == [bare.pk, boot.pk, bag.pk]
    assert list_ids(admin_client, model_version="9" * 20) == [bare.pk, boot.pk, bag.pk]
    version = create_model_version()
    bag.label.model_version = version
    bag.label.save()
    assert list_ids(admin_client, model_version=version.pk) == [bag.pk]


@pytest.mark.parametrize(
    "model", ["catalog/product", "catalog/image", "catalog/productlabel", "classifier/modelversion"]
)
def test_a_search_of_very_many_words_is_refused_in_words(admin_client: Client, model: str) -> None:
    response = admin_client.get(f"/admin/{model}/", {"q": "word " * 1_000})
    assert response.status_code == 400
    assert "Expected at most 8 words; received 1,000." in response.text


@pytest.mark.parametrize("query", ["garment_unsure=x", "status=x", "confidence=x", "model_version=x"])
def test_a_choice_that_is_none_chooses_all(admin_client: Client, query: str) -> None:
    product = create_product("Hat")
    response = admin_client.get(f"{PRODUCTS}?{query}")
    assert response.status_code == 200
    assert list(response.context["cl"].result_list) == [product]


@pytest.mark.parametrize(
    "address",
    [
        "catalog/product/?status=%00",
        "classifier/labellingrun/?state__exact=%00",
        "auth/user/?q=%00",
        "auth/group/?q=a%00b",
    ],
)
def test_a_nul_character_in_an_address_is_refused(admin_client: Client, address: str) -> None:
    answer = admin_client.get(f"/admin/{address}")
    assert (answer.status_code, "received a NUL character" in answer.text) == (400, True)
    assert admin_client.get(f"/admin/{address.replace('%00', 'b')}").status_code in (200, 302)


def test_a_nul_character_in_a_search_for_completion_is_refused(admin_client: Client) -> None:
    parameters = {"app_label": "catalog", "model_name": "productimages", "field_name": "image"}
    answer = admin_client.get("/admin/autocomplete/", parameters | {"term": "a\x00b"})
    assert (answer.status_code, "received a NUL character" in answer.text) == (400, True)
    assert admin_client.get("/admin/autocomplete/", parameters | {"term": "ab"}).status_code == 200


def test_the_search_looks_for_parts_of_words_in_titles_and_descriptions(admin_client: Client) -> None:
    titled = create_product("Linen shirt, red")
    described = create_product("Shirt 17", descriptions={"de": ("Rotes Leinenhemd", "Red linen shirt")})
    create_product("Red shirt, wool", descriptions={"us": ("linnen", None)})
    assert list_ids(admin_client, q="RED line") == [described.pk, titled.pk]
    assert list_ids(admin_client, q="nenhe") == [described.pk]
    assert list_ids(admin_client, q="  ") == list(Product.objects.order_by("-pk").values_list("pk", flat=True))
    create_labelled_product("Blue linen bag", group="Bags", garment="Bag")
    labels = admin_client.get("/admin/catalog/productlabel/", {"q": "linen blue"}).context["cl"].result_list
    assert [label.group for label in labels] == ["Bags"]
    assert not admin_client.get("/admin/catalog/productlabel/", {"q": "linen green"}).context["cl"].result_list


def test_an_action_across_pages_takes_what_the_search_finds(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    create_model_version()
    chosen = [create_product(f"Linen {name}", images=[create_painted_image()]) for name in ("shirt", "coat")]
    create_product("Woollen coat", images=[create_painted_image()])
    address = f"{PRODUCTS}?q=linen"
    act(admin_client, "label_selected", chosen[0], address=address, select_across="1")
    tasks = LabelTask.objects.order_by("image_id").values_list("image_id", flat=True)
    images = list(Image.objects.filter(product_images__product__in=chosen).order_by("pk").values_list("pk", flat=True))
    assert list(tasks) == images
    act(admin_client, "mark_as_bags", chosen[0], address=address, select_across="1")
    assert list_images_to_review() == images
    page = ask(admin_client, "mark_as_bags", chosen[0], address=f"{PRODUCTS}?q=nowhere", select_across="1")
    assert list_counts(page)["Selected products"] == "0"


@pytest.mark.parametrize("products", [1, 4])
def test_the_list_costs_five_queries_and_counts_no_table(
    admin_client: Client, products: int, django_assert_num_queries
) -> None:
    for _ in range(products):
        create_labelled_product()
    with django_assert_num_queries(5) as captured:
        admin_client.get(PRODUCTS)
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"]]
    assert len(counts) == 1
    assert "LIMIT 10000" in counts[0]


def test_a_product_shows_its_images_and_descriptions(admin_client: Client) -> None:
    create_model_version()
    product = create_product(images=[create_painted_image("Bag"), "demo/2.png"], descriptions={"us": ("a", "b")})
    label_everything()
    page = admin_client.get(f"{PRODUCTS}{product.pk}/change/").text
    assert page.count('loading="lazy"') == 1
    assert "demo/2.png" in page
    assert f'href="/products/{product.pk}/"' in page
    assert 'name="descriptions-0-country_code" value="us"' in page


def test_labelling_the_selection_starts_a_run_over_all_its_images(client: Client) -> None:
    QueueCanary.objects.create(queue="labelling")
    user = sign_in(client, "catalog.view_product", "classifier.add_labellingrun")
    create_model_version()
    chosen = create_product(images=[create_painted_image(), create_painted_image()])
    create_product(images=[create_painted_image()])
    (message,) = act(client, "label_selected", chosen)
    run = LabellingRun.objects.get()
    assert message == (f'<a href="/labelling-runs/{run.pk}/">Labelling run {run.pk}</a> started over 2 images.')
    assert run.requested_by == user
    assert set(LabelTask.objects.values_list("image_id", flat=True)) == set(
        chosen.product_images.values_list("image_id", flat=True)
    )
    assert LogEntry.objects.get().user == user


@pytest.mark.parametrize("action, relabel, taken", [("label_selected", False, 1), ("relabel_selected", True, 2)])
def test_labelling_again_takes_what_is_labelled_as_well(
    admin_client: Client, action: str, relabel: bool, taken: int
) -> None:
    create_model_version()
    labelled = create_product(images=[create_painted_image()])
    label_everything()
    fresh = create_product(images=[create_painted_image()])
    page = ask(admin_client, action, labelled, fresh)
    assert list_counts(page) == {"Selected products": "2", "Their images": "2"}
    assert LabellingRun.objects.count() == 1
    act(admin_client, action, labelled, fresh)
    run = LabellingRun.objects.first()
    assert (run.relabel, run.total) == (relabel, taken)
    assert LogEntry.objects.count() == 1


def test_a_run_takes_more_rows_than_a_person_looks_at_and_than_are_counted(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    QueueCanary.objects.create(queue="labelling")
    create_model_version()
    first, second = (create_product(images=[create_painted_image()]) for _ in range(2))
    page = ask(admin_client, "label_selected", first, select_across="1")
    assert list_counts(page)["Selected products"] == "2"
    assert 'name="select_across" value="1"' in page.text
    (message,) = act(admin_client, "label_selected", first, select_across="1")
    assert message.endswith("started over 2 images.")
    monkeypatch.setattr(LargeTableAdmin, "maximum_selected", 1)
    page = ask(admin_client, "relabel_selected", first, second)
    assert list_counts(page) == {"Selected products": "more than 1", "Their images": "more than 1"}
    third = create_product(images=[create_painted_image()])
    act(admin_client, "label_selected", second, third)
    run = LabellingRun.objects.first()
    assert list(run.tasks.values_list("image", flat=True)) == [third.product_images.get().image_id]


def test_what_is_asked_about_row_by_row_is_what_is_done(admin_client: Client) -> None:
    chosen = create_product(images=["demo/1.png"])
    page = ask(admin_client, "mark_as_bags", chosen, select_across="1")
    assert list_counts(page) == {
        "Selected products": "1",
        "Images that get the label": "1",
        "Selected products without an image": "0",
        "Products with a person's label, which yours replaces": "0",
    }
    assert "select_across" not in page.text
    assert page.context["ids"] == [chosen.pk]
    assert not Review.objects.exists()
    assert not LogEntry.objects.exists()


def test_too_many_rows_are_not_deleted_and_a_few_after_a_question(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    products = [create_product() for _ in range(2)]
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    (message,) = act(admin_client, "delete_selected", *products, post="yes")
    assert message == "Expected at most 1 products to delete at a time; more were selected."
    assert Product.objects.count() == 2
    act(admin_client, "delete_selected", products[0], post="yes")
    assert list(Product.objects.all()) == [products[1]]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_the_selection_can_be_exported(client: Client, tmp_path: Path, suffix: str) -> None:
    sign_in(client, "catalog.view_product", "catalog.view_productlabel")
    chosen = create_labelled_product("Chosen", group="Bags", garment="Bag")
    create_labelled_product("Other", group="Bags", garment="Bag")
    data = {"action": f"export_{suffix}", "_selected_action": [chosen.pk]}
    content = b"".join(client.post(PRODUCTS, data).streaming_content)
    assert b"Chosen" in content
    assert b"Other" not in content
    assert counts(Importer(tmp_path).run(content, name=f"again.{suffix}")) == (0, 0, 1, 0)


def test_a_selection_too_large_to_export_is_refused(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LargeTableAdmin, "maximum_selected", 1)
    (message,) = act(admin_client, "export_csv", create_product(), create_product())
    assert message == "Expected at most 1 products to export at a time; more were selected."


def test_labelling_without_an_active_version_names_the_command(admin_client: Client) -> None:
    product = create_product(images=[create_painted_image()])
    (message,) = act(admin_client, "label_selected", product)
    assert "register_model_version" in message
    assert not LabellingRun.objects.exists()


def test_marking_records_a_review_of_each_first_image(client: Client) -> None:
    user = sign_in(client, "catalog.view_product", "classifier.add_review")
    marked, bare = create_product(images=["demo/1.png", "demo/2.png"]), create_product()
    done, skipped = act(client, "mark_as_one_piece", marked, bare)
    assert done == "1 products are marked as One piece."
    assert skipped == "1 selected products have no image to mark."
    review = Review.objects.get()
    assert (review.image.url, review.group, review.garment, review.reviewer) == ("demo/1.png", "One piece", "", user)
    assert (marked.label.status, marked.label.group) == ("reviewed", "One piece")
    assert LogEntry.objects.get().object_id == str(marked.pk)
    page = ask(client, "mark_as_unusable", marked, bare)
    assert list_counts(page)["Products with a person's label, which yours replaces"] == "1"
    (done, _) = act(client, "mark_as_unusable", marked, bare)
    assert done == "1 products are marked as Unusable."
    assert Product.objects.get(pk=marked.pk).label.status == "unusable"


def test_marking_more_than_a_person_looks_at_is_done_by_a_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    QueueCanary.objects.create(queue="labelling")
    user = sign_in(client, "catalog.view_product", "classifier.add_review")
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    products = [create_product(images=[f"demo/{number}.png", f"demo/{number}-back.png"]) for number in range(2)]
    products.append(create_product())
    page = ask(client, "mark_as_bags", *products)
    assert list_counts(page) == {
        "Selected products": "3",
        "Images that get the label": "2",
        "Products with a person's label, which yours replaces": "0",
    }
    assert not ReviewRun.objects.exists()
    (message,) = act(client, "mark_as_bags", *products)
    run = ReviewRun.objects.get()
    assert message == (f'<a href="/review-runs/{run.pk}/">Review run {run.pk}</a> marks 2 images as Bags.')
    assert (run.group, run.total, run.requested_by) == ("Bags", 2, user)
    assert run.note == "Marked in the list of products."
    assert not Review.objects.exists()
    assert LogEntry.objects.values_list("object_id", "content_type__model").get() == (str(run.pk), "reviewrun")
    record_reviews_task(run.pk)
    urls = Review.objects.order_by("image_id").values_list("image__url", "reviewer")
    assert list(urls) == [("demo/0.png", user.pk), ("demo/1.png", user.pk)]


def test_marking_across_pages_takes_what_the_filter_chooses(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    shoes = [create_labelled_product("Red shoe", group="Footwear", garment="Sneaker") for _ in range(2)]
    create_labelled_product("Red bag", group="Bags", garment="Bag")
    address = f"{PRODUCTS}?group=Footwear"
    page = ask(admin_client, "mark_as_one_piece", shoes[0], address=address, select_across="1")
    assert list_counts(page)["Images that get the label"] == "2"
    act(admin_client, "mark_as_one_piece", shoes[0], address=address, select_across="1")
    assert list_images_to_review() == sorted(shoe.label.image_id for shoe in shoes)


def test_images_are_marked_each_for_itself(client: Client) -> None:
    user = sign_in(client, "catalog.view_image", "classifier.add_review")
    product = create_product(images=["demo/1.png", "demo/2.png", "demo/3.png"])
    chosen = [place.image for place in product.product_images.order_by("image_index")[:2]]
    (message,) = act(client, "mark_as_footwear", *chosen, address=IMAGES)
    assert message == "2 images are marked as Footwear."
    reviews = Review.objects.order_by("image").values_list("image__url", "group", "reviewer")
    assert list(reviews) == [("demo/1.png", "Footwear", user.pk), ("demo/2.png", "Footwear", user.pk)]
    assert (product.label.status, product.label.group) == ("reviewed", "Footwear")
    assert set(LogEntry.objects.values_list("object_id", flat=True)) == {str(image.pk) for image in chosen}


def test_many_images_are_marked_by_a_run(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    product = create_product(images=["demo/1.png", "demo/2.png"])
    images = [place.image for place in product.product_images.order_by("image_index")]
    act(admin_client, "mark_as_bags", *images, address=IMAGES)
    assert list_images_to_review() == [image.pk for image in images]


def test_marking_images_without_permission_marks_none(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    product = create_product(images=["demo/1.png", "demo/2.png"])
    images = [place.image for place in product.product_images.all()]
    sign_in(client, "catalog.view_image")
    act(client, "mark_as_bags", images[0], address=IMAGES)
    monkeypatch.setattr(LargeTableAdmin, "maximum_chosen", 1)
    act(client, "mark_as_bags", *images, address=IMAGES)
    assert not Review.objects.exists()
    assert not ReviewRun.objects.exists()


@pytest.mark.parametrize(
    "action", ["label_selected", "relabel_selected", "mark_as_bags", "delete_selected", "export_csv", "export_jsonl"]
)
def test_an_action_needs_its_permission(client: Client, action: str) -> None:
    sign_in(client, "catalog.view_product")
    create_model_version()
    product = create_product(images=[create_painted_image()])
    act(client, action, product)
    assert f'value="{action}"' not in client.get(PRODUCTS).text
    assert Product.objects.count() == 1
    assert not LabellingRun.objects.exists()
    assert not Review.objects.exists()


def test_the_admin_is_closed_to_others(client: Client) -> None:
    product = create_product()
    for address in (PRODUCTS, f"{PRODUCTS}{product.pk}/change/", "/admin/catalog/image/"):
        assert client.get(address).status_code == 302
    sign_in(client)
    assert client.get(PRODUCTS).status_code == 403
    client.force_login(User.objects.create_user("customer"))
    assert client.get(PRODUCTS).status_code == 302


def test_images_show_our_copy_and_its_facts(admin_client: Client) -> None:
    create_model_version()
    image = create_painted_image("Bag", url="tests/bag.png")
    create_product(images=[image, "demo/other.png"])
    label_everything()
    page = admin_client.get("/admin/catalog/image/", {"q": "bag"}).text
    assert "tests/bag.png" in page
    assert "demo/other.png" not in page
    page = admin_client.get(f"/admin/catalog/image/{image.pk}/change/").text
    assert image.stored_picture.sha256 in page
    assert f"{image.stored_picture.width} x {image.stored_picture.height}" in page


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_deleting_an_image_waits_for_who_marks_it_and_neither_fails(rf: RequestFactory) -> None:
    create_model_version()
    product = create_labelled_product("Bag")
    image = product.product_images.get().image
    image_admin = site.get_model_admin(Image)
    with transaction.atomic():
        lock_images([image.pk])
        end = run_until_blocked(lambda: image_admin.delete_model(rf.post(IMAGES), image))
        ProductLabel.objects.filter(product=product).update(garment="Bag")
    assert end() == []
    assert not Image.objects.exists()
