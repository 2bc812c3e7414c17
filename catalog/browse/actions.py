"""The actions of the admin's products that stand below the list of products too, for whoever may do them.

What an action does is known to the package that registers the admin of products; here is how it looks in the list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib import admin
from django.http import HttpRequest

from catalog.models import Product

Action = TypeVar("Action", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ListButton:
    """The button of an action: its `words` stand behind those of its `part`, as "Mark as" and "Bags".

    `key` presses it. `undo` names the action that takes it back. `is_file` is set where the answer is a download.
    """

    part: str
    words: str
    key: str = ""
    undo: str = ""
    is_file: bool = False
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class ListAction:
    """An action that a user may do with products: `run` takes the admin, the request and the products."""

    name: str
    button: ListButton
    run: Callable[..., Any]


def show_in_list(button: ListButton) -> Callable[[Action], Action]:
    """Return a decorator that has an admin action of products stand below the list of products."""

    def decorate(action: Action) -> Action:
        action.list_button = button  # type: ignore[attr-defined]  # as Django's own decorator sets attributes
        return action

    return decorate


def list_actions(request: HttpRequest) -> list[ListAction]:
    """Return the actions below the list that the user may do, in the admin's order."""
    allowed: dict[str, Any] = (
        admin.site.get_model_admin(Product).get_actions(request) if request.user.is_authenticated else {}
    )
    return [
        ListAction(name, run.list_button, run) for name, (run, *_) in allowed.items() if hasattr(run, "list_button")
    ]


def group_by_part(actions: list[ListAction]) -> list[tuple[str, list[ListAction]]]:
    """Return (words, actions) of each part, those whose buttons are shown."""
    parts: dict[str, list[ListAction]] = {}
    for action in actions:
        if action.button.is_shown:
            parts.setdefault(action.button.part, []).append(action)
    return list(parts.items())
