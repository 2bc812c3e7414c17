"""The admin of the classifier: read-only records, runs with their progress, the error queue, reviews that are added."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from catalog.models import ProductLabel
from classifier.models import (
    AdoptionRun,
    Classification,
    LabellingRun,
    LabelTask,
    ModelVersion,
    QueueCanary,
    Review,
    ReviewRun,
    SuspectedPicture,
    TrainingRun,
)
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.labels import label_everything

pytestmark = pytest.mark.django_db

READ_ONLY = [
    AdoptionRun,
    Classification,
    LabellingRun,
    LabelTask,
    ModelVersion,
    ProductLabel,
    QueueCanary,
    ReviewRun,
    SuspectedPicture,
    TrainingRun,
]


@pytest.fixture
def labelled() -> None:
    """A labelled picture and one that is no picture, each the first of a product; and a training."""
    version = create_model_version()
    create_product(images=[create_painted_image("Sandal", url="tests/sandal.png")])
    create_product(images=[create_stored_image(b"not a picture", url="tests/broken.png")])
    label_everything()
    progress = {"phase": "train", "epoch": 2, "epochs": 3}
    TrainingRun.objects.create(recipe="default", seed=1, model_version=version, progress=progress)
    AdoptionRun.objects.create(model_version=version)
    QueueCanary.objects.create(queue="labelling")
    ReviewRun.objects.create(group="Bags", requested_by=User.objects.create_user("reviewer"))
    SuspectedPicture.objects.create(sha256="0" * 64, products=20)


def sign_in(client: Client, *permissions: str) -> User:
    """Sign a member of staff in who has these permissions only."""
    user = User.objects.create_user("member", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=["catalog", "classifier"], codename__in=permissions)
    )
    client.force_login(user)
    return user


def address_of(model: type, page: str = "changelist") -> str:
    """The address of a model's list, or of the page of its newest row."""
    address = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    return address if page == "changelist" else f"{address}{model.objects.latest('pk').pk}/{page}/"


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("model", READ_ONLY)
def test_what_the_product_writes_is_only_read_even_by_the_highest(admin_client: Client, model: type) -> None:
    assert admin_client.get(address_of(model)).status_code == 200
    assert admin_client.get(address_of(model, "change")).status_code == 200
    before = list(model.objects.order_by("pk").values())
    assert admin_client.get(f"{address_of(model)}add/").status_code == 403
    assert admin_client.post(f"{address_of(model)}add/", {"group": "Bags"}).status_code == 403
    assert admin_client.post(address_of(model, "change"), {"group": "Bags"}).status_code == 403
    assert admin_client.post(address_of(model, "delete"), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [model.objects.latest("pk").pk], "post": "yes"}
    admin_client.post(address_of(model), chosen)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.usefixtures("labelled")
@pytest.mark.parametrize("model", [*READ_ONLY, Review])
def test_each_list_needs_its_permission(client: Client, model: type) -> None:
    assert client.get(address_of(model)).status_code == 302
    user = sign_in(client)
    assert client.get(address_of(model)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename=f"view_{model._meta.model_name}"))
    assert client.get(address_of(model)).status_code == 200


@pytest.mark.parametrize("model", [*READ_ONLY, Review])
def test_lists_cost_few_queries_and_count_no_table(
    admin_client: Client, model: type, labelled: None, django_assert_max_num_queries
) -> None:
    with django_assert_max_num_queries(6) as captured:
        admin_client.get(address_of(model))
    counts = [query["sql"] for query in captured if query["sql"].startswith("SELECT COUNT(*)")]
    assert counts
    assert [sql for sql in counts if "LIMIT 10000" not in sql] == []


@pytest.mark.usefixtures("labelled")
def test_a_run_shows_its_tasks_by_state(admin_client: Client) -> None:
    page = admin_client.get(address_of(LabellingRun, "change")).text
    assert "0 new · 0 running · 1 done · 0 waiting · 1 failed · 0 cancelled" in page
    (run,) = admin_client.get(address_of(LabellingRun)).context["cl"].result_list
    assert (run.failed_tasks, run.total) == (1, 2)


@pytest.mark.usefixtures("labelled")
def test_a_training_shows_its_epoch(admin_client: Client) -> None:
    assert "train, epoch 2 of 3" in admin_client.get(address_of(TrainingRun)).text


@pytest.mark.usefixtures("labelled")
def test_the_list_of_tasks_is_the_error_queue_unless_all_are_asked_for(admin_client: Client) -> None:
    def list_urls(**parameters: str) -> list[str]:
        tasks = admin_client.get(address_of(LabelTask), parameters).context["cl"].result_list
        return [task.image.url for task in tasks]

    assert list_urls() == ["tests/broken.png"]
    assert list_urls(tasks="all") == ["tests/broken.png", "tests/sandal.png"]
    assert list_urls(error_code="not_image") == ["tests/broken.png"]
    assert list_urls(error_code="timeout") == []
    assert list_urls(tasks="all", state="done") == ["tests/sandal.png"]


@pytest.mark.usefixtures("labelled")
def test_a_classification_shows_its_picture_and_probabilities(admin_client: Client) -> None:
    page = admin_client.get(address_of(Classification, "change")).text
    assert 'width="64" height="64"' in page
    assert "<div>Sandal 90.0%</div>" in page
    assert "<div>Footwear 92.2%</div>" in page


def test_a_review_is_added_in_the_name_of_who_is_signed_in(client: Client) -> None:
    user = sign_in(client, "add_review", "view_review")
    product = create_product(images=["demo/1.png"])
    image = product.product_images.get().image
    data = {"image": image.pk, "verdict": "group", "group": "Bags", "garment": "Bag", "note": "seen", "reviewer": 0}
    assert client.post("/admin/classifier/review/add/", data).status_code == 302
    review = Review.objects.get()
    assert (review.image, review.group, review.garment, review.note) == (image, "Bags", "Bag", "seen")
    assert review.reviewer == user
    assert product.label.status == "reviewed"
    assert client.post(address_of(Review, "change"), {**data, "group": "Footwear"}).status_code == 403
    assert client.post(address_of(Review, "delete"), {"post": "yes"}).status_code == 403
    assert Review.objects.get().group == "Bags"


def test_a_review_with_a_garment_of_another_group_is_refused(client: Client) -> None:
    sign_in(client, "add_review", "view_review")
    data = {"image": create_image().pk, "verdict": "group", "group": "Bags", "garment": "Sandal", "note": ""}
    response = client.post("/admin/classifier/review/add/", data)
    assert "Expected a garment of Bags (Bag), or none; received &#x27;Sandal&#x27;." in response.text
    assert not Review.objects.exists()


def test_a_review_of_no_image_is_refused(client: Client) -> None:
    sign_in(client, "add_review", "view_review")
    response = client.post("/admin/classifier/review/add/", {"verdict": "group", "group": "Bags"})
    assert "This field is required." in response.text
    assert not Review.objects.exists()


def test_a_run_is_cancelled_by_who_may(client: Client) -> None:
    run = LabellingRun.objects.create(model_version=create_model_version())
    task = LabelTask.objects.create(image=create_image(), model_version=run.model_version, run=run)
    user = sign_in(client, "view_labellingrun")
    chosen = {"action": "cancel_selected", "_selected_action": [run.pk], "confirmed": "yes"}
    client.post(address_of(LabellingRun), chosen)
    task.refresh_from_db()
    assert task.state == "new"
    user.user_permissions.add(Permission.objects.get(codename="change_labellingrun"))
    question = client.post(address_of(LabellingRun), chosen | {"confirmed": []}).context["question"]
    assert question.counts == [("Runs that have not ended", "1"), ("Pictures they hold", "1")]
    task.refresh_from_db()
    assert task.state == "new"
    client.post(address_of(LabellingRun), chosen)
    task.refresh_from_db()
    run.refresh_from_db()
    assert (run.state, task.state) == ("cancelled", "cancelled")
