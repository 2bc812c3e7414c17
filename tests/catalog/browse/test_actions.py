"""What is done with the products that are chosen in their list."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from catalog.models import ProductLabel
from classifier.models import LabellingRun, Review
from tests.support.factories import create_product
from tests.support.fakes import create_model_version
from tests.support.labels import create_labelled_product
from tests.support.members import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def act(client: Client, action: str, *products: Any, query: str = "") -> Any:
    """The answer to the press of a button with these products chosen."""
    chosen = {"product": [getattr(product, "pk", product) for product in products]}
    return client.post("/products/action/", {"action": action, "query": query, "confirmed": "yes", **chosen})


def list_buttons(client: Client) -> dict[str, list[str]]:
    """The words of the buttons below the list, by the words before them."""
    parts = client.get("/products/").context["actions"]
    return {part: [action.button.words for action in actions] for part, actions in parts}


def test_the_buttons_are_those_that_the_reader_may_press(client: Client) -> None:
    create_product()
    assert list_buttons(client) == {}
    sign_in(client, "view_productlabel")
    assert list_buttons(client) == {"Export": ["CSV", "JSON Lines"]}
    sign_in(client, "add_review", "add_labellingrun")
    buttons = list_buttons(client)
    assert list(buttons) == ["Mark as", "Label"]
    names = ["Upper part", "Bottom part", "One piece", "Footwear", "Bags", "None of these", "Unusable"]
    assert buttons["Mark as"] == names


def test_a_mark_is_recorded_at_once_and_leads_back_to_the_list(client: Client) -> None:
    member = sign_in(client, "add_review")
    one, two, other = (create_labelled_product() for _ in range(3))
    answer = act(client, "mark_as_bags", one, two, query="status=labelled&ordering=confidence&evil=1")
    assert (answer.status_code, answer.url) == (302, "/products/?status=labelled&ordering=confidence")
    given = set(Review.objects.values_list("group", "queue", "suggestion", "reviewer"))
    assert given == {("Bags", "list", "Bottom part", member.pk)}
    groups = dict(ProductLabel.objects.values_list("product", "group"))
    assert groups == {one.pk: "Bags", two.pk: "Bags", other.pk: "Bottom part"}
    page = client.get(answer.url)
    assert [str(message) for message in page.context["messages"]] == ["2 products are marked as Bags."]
    assert page.context["undo"] == {"action": "take_back_selected", "products": [one.pk, two.pk]}
    assert client.get(answer.url).context["undo"] is None


def test_what_was_marked_is_taken_back_to_what_it_was_before(client: Client) -> None:
    sign_in(client, "add_review")
    product = create_labelled_product()
    act(client, "mark_as_bags", product)
    act(client, "mark_as_footwear", product)
    for group in ("Footwear", "Bags"):
        assert ProductLabel.objects.get(product=product).group == group
        act(client, "take_back_selected", product)
    assert ProductLabel.objects.get(product=product).status == "pending"
    assert Review.objects.filter(withdrawn_at=None).count() == 0


def test_nobody_takes_back_what_others_gave(client: Client) -> None:
    sign_in(client, "add_review")
    product = create_labelled_product()
    act(client, "mark_as_bags", product)
    sign_in(client, "add_review")
    act(client, "take_back_selected", product)
    assert ProductLabel.objects.get(product=product).group == "Bags"


def test_chosen_products_are_labelled_in_a_run(client: Client) -> None:
    create_model_version()
    sign_in(client, "add_labellingrun", "view_labellingrun")
    product, _ = create_labelled_product(), create_labelled_product()
    assert act(client, "relabel_selected", product).status_code == 302
    assert (LabellingRun.objects.get().total, LabellingRun.objects.get().relabel) == (1, True)


def test_chosen_products_are_exported(client: Client) -> None:
    sign_in(client, "view_productlabel")
    chosen, _ = create_product("Chosen"), create_product("Other")
    answer = act(client, "export_csv", chosen)
    text = b"".join(answer).decode()
    assert "Chosen" in text
    assert "Other" not in text


def test_nothing_chosen_is_said_and_does_nothing(client: Client) -> None:
    sign_in(client, "add_review")
    create_labelled_product()
    answer = act(client, "mark_as_bags", "x", "9" * 30)
    assert answer.status_code == 302
    assert [message.level_tag for message in get_messages(answer.wsgi_request)] == ["error"]
    assert not Review.objects.exists()


@pytest.mark.parametrize("action", ["delete_selected", "mark_as_bags", "anything", ""])
def test_what_is_no_button_of_the_reader_is_refused(client: Client, action: str) -> None:
    sign_in(client, "delete_product", "view_productlabel")
    product = create_labelled_product()
    assert act(client, action, product).status_code == 403
    product.refresh_from_db()
