"""The API's products: the fields and filters of the contract, for anyone, at a constant number of queries."""

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client

from catalog.browse.serializers import LabelSerializer
from catalog.models import Product
from classifier.models import LabellingRun, LabelTask, ModelVersion
from classifier.reviews.services import record_review
from config.web.schema import EXAMPLES
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.labels import create_labelled_product, label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PRODUCTS = "/api/v1/products/"


def list_ids(client: Client, **parameters: object) -> list[int]:
    """The ids of the first page."""
    response = client.get(PRODUCTS, parameters)
    assert response.status_code == 200, response.content
    return [product["id"] for product in response.json()["results"]]


def test_a_product_nobody_looked_at_is_pending(client: Client) -> None:
    texts = {"de": ("Hemd", "Shirt"), "us": ("Leinenhemd", "Linen shirt")}
    product = create_product("Linen shirt", images=["https://shop.example/1.jpg", "demo/2.png"], descriptions=texts)
    response = client.get(PRODUCTS)
    assert response.headers["Content-Type"] == "application/json"
    assert response.json() == {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": product.pk,
                "title": "Linen shirt",
                "image_url": "https://shop.example/1.jpg",
                "thumbnail_url": None,
                "description": "Linen shirt",
                "label": {
                    "group": None,
                    "garment": None,
                    "garment_unsure": False,
                    "confidence": None,
                    "status": "pending",
                    "source": None,
                    "reason": "",
                    "evidence": "",
                    "model_version": None,
                    "labelled_at": None,
                },
            }
        ],
    }


def test_a_product_without_image_and_text_has_nulls(client: Client) -> None:
    create_product("Bare")
    (product,) = client.get(PRODUCTS).json()["results"]
    assert (product["image_url"], product["thumbnail_url"], product["description"]) == (None, None, None)
    assert product["label"]["status"] == "no_image"


def test_a_labelled_product_has_its_label_and_a_thumbnail_that_opens(client: Client) -> None:
    version = create_model_version()
    create_product(images=[create_painted_image("Sneaker", url="tests/sneaker.png")])
    label_everything()
    (product,) = client.get(PRODUCTS).json()["results"]
    label = product["label"]
    assert (label["group"], label["garment"], label["status"]) == ("Footwear", "Sneaker", "labelled")
    assert (label["confidence"], label["model_version"]) == (pytest.approx(0.922222, abs=1e-6), version.name)
    assert label["labelled_at"].endswith("Z")
    assert product["image_url"] == "tests/sneaker.png"
    thumbnail = client.get(product["thumbnail_url"])
    assert (thumbnail.status_code, thumbnail.headers["Content-Type"]) == (200, "image/jpeg")


def test_the_country_chooses_the_description_without_case(client: Client) -> None:
    create_product(descriptions={"DE": ("Hemd", None), "us": ("Shirt", None)})
    assert client.get(PRODUCTS, {"country": "de"}).json()["results"][0]["description"] == "Hemd"
    assert client.get(PRODUCTS, {"country": "fr"}).json()["results"][0]["description"] is None


def test_filters_narrow_the_list_and_combine(client: Client) -> None:
    bag = create_labelled_product("Red bag", group="Bags", garment="Bag", confidence=0.7)
    sure = create_labelled_product("Blue bag", group="Bags", garment="Bag", confidence=0.95)
    boot = create_labelled_product("Red boot", group="Footwear", garment="Ankle boot", status="needs_review")
    assert list_ids(client, group="Bags") == [bag.pk, sure.pk]
    assert list_ids(client, garment="Ankle boot") == [boot.pk]
    assert list_ids(client, status="needs_review") == [boot.pk]
    assert list_ids(client, min_confidence="0.9") == [sure.pk, boot.pk]
    assert list_ids(client, search="RED") == [bag.pk, boot.pk]
    assert list_ids(client, search="bag red") == [bag.pk]
    assert list_ids(client, group="Bags", min_confidence="0.9", status="labelled") == [sure.pk]
    assert list_ids(client, group="", search="", status="") == [bag.pk, sure.pk, boot.pk]


def test_labels_whose_garment_is_not_sure_are_listed(client: Client) -> None:
    sure, unsure = create_labelled_product(), create_labelled_product(garment_unsure=True)
    assert list_ids(client, garment_unsure="true") == [unsure.pk]
    assert list_ids(client, garment_unsure="false") == [sure.pk]
    assert list_ids(client, garment_unsure="") == [sure.pk, unsure.pk]


def test_labels_are_found_by_why_they_wait_and_by_what_they_stand_on(client: Client) -> None:
    picture = create_labelled_product()
    unsure = create_labelled_product(status="needs_review", reason="unsure", evidence="both")
    disputed = create_labelled_product(status="needs_review", reason="disagreement", evidence="text")
    create_labelled_product(source="person", status="reviewed")
    assert list_ids(client, reason="unsure") == [unsure.pk]
    assert list_ids(client, reason=["unsure", "disagreement"]) == [unsure.pk, disputed.pk]
    assert list_ids(client, evidence="picture") == [picture.pk]
    assert list_ids(client, evidence=["picture", "text"], source="machine") == [picture.pk, disputed.pk]
    assert list_ids(client, evidence="picture", source="person") == []
    assert client.get(PRODUCTS, {"reason": "not_image"}).status_code == 400


def test_pending_and_no_image_are_statuses_one_can_filter_by(client: Client) -> None:
    create_labelled_product()
    pending = create_product(images=["demo/1.png"])
    bare = create_product()
    assert list_ids(client, status="pending") == [pending.pk]
    assert list_ids(client, status="no_image") == [bare.pk]


def test_an_order_by_confidence_leaves_out_what_has_none(client: Client) -> None:
    low, high = (create_labelled_product(confidence=confidence).pk for confidence in (0.2, 0.8))
    failed = create_labelled_product(group="", garment="", confidence=None, status="failed").pk
    assert list_ids(client) == [low, high, failed]
    assert list_ids(client, ordering="-id") == [failed, high, low]
    assert list_ids(client, ordering="confidence") == [low, high]
    assert list_ids(client, ordering="-confidence") == [high, low]


def test_next_and_previous_keep_the_filters(client: Client) -> None:
    ids = [create_labelled_product(group="Bags").pk for _ in range(3)]
    create_labelled_product()
    first = client.get(PRODUCTS, {"group": "Bags", "page_size": 2}).json()
    second = client.get(first["next"]).json()
    assert [product["id"] for product in second["results"]] == ids[2:]
    assert second["next"] is None
    assert client.get(second["previous"]).json() == first


@pytest.mark.parametrize("page_size", [1, 5])
def test_a_list_costs_one_query_whatever_its_size(client: Client, page_size: int, django_assert_num_queries) -> None:
    version = create_model_version()
    for _ in range(7):
        create_labelled_product(model_version=version)
    with django_assert_num_queries(1) as captured:
        response = client.get(PRODUCTS, {"page_size": page_size})
    assert len(response.json()["results"]) == page_size
    assert "COUNT" not in captured[0]["sql"]


def test_a_product_in_full_has_every_image_and_description(client: Client) -> None:
    version = create_model_version()
    broken = create_stored_image(b"not a picture", url="tests/broken.png")
    texts = {"us": ("Schuh", "Shoe"), "de": ("Schuh", None)}
    product = create_product(images=[create_painted_image("Sandal"), broken, "nowhere/3.png"], descriptions=texts)
    LabelTask.objects.create(
        image=product.product_images.get(image_index=2).image,
        model_version=version,
        run=LabellingRun.objects.create(model_version=version, state=LabellingRun.State.CANCELLED),
        state=LabelTask.State.IGNORED,
        error_code="http_4xx",
    )
    label_everything()
    body = client.get(f"{PRODUCTS}{product.pk}/").json()
    assert (body["id"], body["label"]["group"], body["description"]) == (product.pk, "Footwear", "Shoe")
    first, second, third = body["images"]
    assert [image["image_index"] for image in body["images"]] == [0, 1, 2]
    assert (first["label"]["status"], first["label"]["garment"]) == ("labelled", "Sandal")
    assert (first["label"]["source"], first["label"]["abstained"]) == ("machine", False)
    assert list(first["label"]["group_probabilities"]) == ["Upper part", "Bottom part", "One piece", "Footwear", "Bags"]
    assert first["label"]["group_probabilities"]["Footwear"] == pytest.approx(0.922222, abs=1e-6)
    assert first["label"]["garment_probabilities"]["Sandal"] == pytest.approx(0.9)
    assert (second["url"], second["thumbnail_url"]) == ("tests/broken.png", None)
    assert (second["label"]["status"], second["label"]["error_code"]) == ("failed", "not_image")
    assert second["label"]["group_probabilities"] is None
    assert (third["label"]["status"], third["label"]["error_code"]) == ("failed", "http_4xx")
    assert body["descriptions"] == [
        {"country_code": "de", "original_text": "Schuh", "translated_text": None},
        {"country_code": "us", "original_text": "Schuh", "translated_text": "Shoe"},
    ]
    shoe = {"word": "Shoe", "language": "en", "field": "translated_text", "country": "us", "says": "Footwear"}
    assert body["words"] == [
        shoe,
        shoe | {"word": "Schuh", "language": "de", "field": "original_text", "country": "de"},
    ]


def test_the_words_of_a_title_are_told_from_those_of_descriptions(client: Client) -> None:
    product = create_product("Umbrella", descriptions={"us": ("A bag", None)})
    (word,) = client.get(f"{PRODUCTS}{product.pk}/").json()["words"]
    assert (word["field"], word["country"], word["says"]) == ("title", None, "none_of_these")


def test_a_persons_label_stands_before_the_machines_probabilities(client: Client) -> None:
    create_model_version()
    image = create_painted_image("Sandal")
    product = create_product(images=[image])
    label_everything()
    record_review(image, group="Bags", garment="Bag", reviewer=User.objects.create_user("reviewer"))
    body = client.get(f"{PRODUCTS}{product.pk}/").json()
    label = body["images"][0]["label"]
    assert (label["status"], label["source"], label["group"]) == ("reviewed", "person", "Bags")
    assert label["garment_probabilities"]["Sandal"] == pytest.approx(0.9)
    assert (body["label"]["status"], body["label"]["group"]) == ("reviewed", "Bags")


@pytest.mark.parametrize("images", [1, 12])
def test_a_product_in_full_costs_thirteen_queries(client: Client, images: int, django_assert_num_queries) -> None:
    create_model_version()
    product = create_product(images=[create_painted_image() for _ in range(images)], descriptions={"us": ("a", "b")})
    label_everything()
    with django_assert_num_queries(13):
        body = client.get(f"{PRODUCTS}{product.pk}/").json()
    assert len(body["images"]) == images


def test_an_unchanged_product_is_not_sent_again(client: Client) -> None:
    product = create_product("Shirt")
    first = client.get(f"{PRODUCTS}{product.pk}/")
    again = client.get(f"{PRODUCTS}{product.pk}/", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Product.objects.update(title="Blouse")
    changed = client.get(f"{PRODUCTS}{product.pk}/", headers={"If-None-Match": first.headers["ETag"]})
    assert (changed.status_code, changed.json()["title"]) == (200, "Blouse")


def test_the_head_of_a_product_has_its_etag_and_nothing_else(client: Client) -> None:
    address = f"{PRODUCTS}{create_product('Shirt').pk}/"
    whole, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("ETag", "Content-Length")} == {
        name: whole.headers[name] for name in ("ETag", "Content-Length")
    }
    assert client.head(address, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304


def test_a_product_that_is_another_than_expected_is_a_problem(client: Client) -> None:
    address = f"{PRODUCTS}{create_product('Shirt').pk}/"
    tag = client.get(address).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        assert client.get(address, headers={"If-Match": known}).status_code == 200, known
    assert client.get(address, headers={"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}).status_code == 200
    refused = client.get(address, headers={"If-Match": '"other"'})
    assert (refused.status_code, refused.headers["Content-Type"]) == (412, "application/problem+json")
    assert refused.json()["detail"].startswith("Expected the present ETag in the header If-Match")


@pytest.mark.parametrize("path", ["/api/v1/classify", "/api/v1/reviews", "/products", "/api/v1/products"])
def test_an_address_without_its_slash_keeps_method_and_body(client: Client, path: str) -> None:
    assert (client.post(path).status_code, client.get(path).status_code) == (308, 301)
    assert client.post(path).headers["Location"] == f"{path}/"


def test_several_values_mean_any_of_them_and_one_value_is_one(client: Client) -> None:
    bag = create_labelled_product(group="Bags", garment="Bag", confidence=0.6)
    boot = create_labelled_product(group="Footwear", garment="Ankle boot", status="needs_review", confidence=0.5)
    coat = create_labelled_product(
        group="Upper part", garment="Coat", source="person", status="reviewed", confidence=1.0
    )
    for query, products in (
        ("group=Bags&group=Footwear", [bag, boot]),
        ("group=Bags&group=", [bag]),
        ("garment=Coat&garment=Bag&garment=Bag", [bag, coat]),
        ("status=reviewed&status=needs_review&group=Footwear", [boot]),
        ("source=person", [coat]),
        ("confidence_below=0.6", [boot]),
        ("confidence_below=0.6&min_confidence=0.6", []),
        ("confidence_below=1&source=machine&ordering=-confidence", [bag, boot]),
    ):
        rows = client.get(f"{PRODUCTS}?{query}").json()["results"]
        assert [row["id"] for row in rows] == [product.pk for product in products], query
    for query in (
        "page_size=2&page_size=3",
        "search=a&search=a",
        "group=Bags&group=Hats",
        "source=machine&source=person",
    ):
        response = client.get(f"{PRODUCTS}?{query}")
        assert (response.status_code, list(response.json()["errors"])) == (400, [query.partition("=")[0]]), query
    assert client.get(f"{PRODUCTS}?page_size=2&page_size=2").json()["errors"] == {
        "page_size": ["Expected one value; received 2."]
    }


def test_labels_are_found_by_the_name_of_their_version(client: Client) -> None:
    old, new = create_model_version(stage="retired"), create_model_version()
    ModelVersion.objects.filter(pk=new.pk).update(name=old.name)
    both = [create_labelled_product(model_version=version).pk for version in (old, new)]
    create_labelled_product()
    rows = client.get(PRODUCTS, {"model_version": old.name}).json()["results"]
    assert [row["id"] for row in rows] == both
    assert client.get(PRODUCTS, {"model_version": "none"}).json()["errors"] == {
        "model_version": ["Expected the name of a model version; received 'none'."]
    }


def test_the_schema_is_json_or_yaml_as_the_address_says(client: Client) -> None:
    json_schema = client.get("/api/v1/schema/?format=json")
    assert json_schema.json()["openapi"].startswith("3.")
    assert client.get("/api/v1/schema/?format=yaml").text.startswith("openapi: 3.")
    assert client.get("/api/v1/schema/?format=xml").status_code == 400


def test_a_picture_is_bytes_to_whoever_reads_the_schema(client: Client) -> None:
    schemas = client.get("/api/v1/schema/?format=json").json()["components"]["schemas"]
    assert schemas["PictureRequest"]["properties"]["picture"]["format"] == "binary"
    assert set(schemas["ReviewRequest"]["required"]) == {"image"}
    assert schemas["Label"]["properties"]["group"] == {
        "allOf": [{"$ref": "#/components/schemas/GroupEnum"}],
        "nullable": True,
    }
    assert schemas["Review"]["properties"]["garment"]["enum"][-1] == ""


def test_reading_needs_no_account_and_writes_nothing(client: Client) -> None:
    create_product()
    response = client.post(PRODUCTS, {"title": "New"}, content_type="application/json")
    assert (response.status_code, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert Product.objects.count() == 1
    assert not default_storage.exists("thumbnails")


def test_the_example_of_a_label_has_what_every_label_has() -> None:
    assert list(EXAMPLES["Label"]) == list(LabelSerializer().fields)
