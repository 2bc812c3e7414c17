"""The pages of one product, and of why a picture got its label."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from catalog.browse.adjacent import find_adjacent
from catalog.browse.filters import keep_list_query
from catalog.models import Image, Product, ProductImages
from catalog.pictures.storage import StorageError
from classifier.evidence.explanations import Explanation, NotExplainableError, create_explanation, find_explanation
from classifier.evidence.product_page import get_product_page
from classifier.evidence.words import WordsPage, describe_disagreement
from classifier.labelling.errors import MENDING
from classifier.labels.facts import find_picture_facts
from classifier.labels.reads import find_deciding_classifications, get_image_labels, read_detail_texts
from classifier.ml.artefacts import ArtefactError
from classifier.ml.labels import GARMENTS_OF_GROUPS
from classifier.models import Classification, Verdict
from config.web.problems import find_refusal


@require_safe
def product_detail(request: HttpRequest, product_id: int) -> HttpResponse:
    """Answer with a product: every picture with its label, its reasons and what was said of it, every description.

    With `?fragment` only what a reviewer looks closer at; `?fragment=blind` says nothing of labels.
    """
    try:
        page = get_product_page(product_id)
    except Product.DoesNotExist as error:
        raise Http404 from error
    if "fragment" in request.GET:
        is_blind = request.GET["fragment"] == "blind"
        return render(request, "classifier/product_look.html", {"page": page, "is_blind": is_blind})
    context = {
        "page": page,
        "product": page.product,
        "choices": GARMENTS_OF_GROUPS,
        "verdicts": [choice for choice in Verdict.choices if choice[0] != Verdict.GROUP],
        "back": keep_list_query(request.GET, placed=False),
        "adjacent": find_adjacent(request.GET, product_id),
        "may_mend": request.user.has_perms(MENDING),
    }
    return render(request, "classifier/product_detail.html", context)


@require_safe
def image_explanation(request: HttpRequest, image_id: int) -> HttpResponse:
    """Answer with the reasons of an image's label: a page, or with `?fragment` the part that a product's page shows.

    They are computed once for each picture and version. Anybody may ask; whoever asks for many that are not computed
    yet is told to wait.
    """
    image = get_object_or_404(Image.objects.select_related("stored_picture"), pk=image_id)
    classification = find_deciding_classifications(find_picture_facts([image.pk]).values()).get(image.pk)
    if classification is None:
        raise Http404
    try:
        explanation = find_explanation(classification)
        if explanation is None:
            if refusal := find_refusal(request, scope="explanations"):
                return refusal
            explanation = create_explanation(image, classification=classification)
    except NotExplainableError as error:
        return render_problem(request, 404, str(error))
    except ArtefactError as error:
        return render_problem(
            request, 503, f"The model version that gave the label cannot be used here: {error.reason}."
        )
    except StorageError:
        return render_problem(request, 503, "The storage of pictures does not answer at the moment.")
    return render_explanation(request, image, classification=classification, explanation=explanation)


def render_explanation(
    request: HttpRequest, image: Image, *, classification: Classification, explanation: Explanation
) -> HttpResponse:
    """Return the page, or its part when the address says so."""
    context: dict[str, Any] = {"image": image, "classification": classification, "explanation": explanation}
    if "fragment" in request.GET:
        # Below an image's own heading.
        return render(request, "classifier/explanation_part.html", context | {"level": "h4"})
    context["level"] = "h2"
    placements = ProductImages.objects.filter(image=image).select_related("product")
    placement = placements.order_by("image_index", "pk").first()
    context["placement"] = placement
    if placement and placement.image_index == 0:
        product = placement.product
        texts = read_detail_texts(product.title, list(product.descriptions.order_by("pk")))
        label = get_image_labels([image.pk], texts={image.pk: texts.said})[image.pk]
        context |= {"words": WordsPage(texts), "disagreement": describe_disagreement(texts, label)}
    return render(request, "classifier/explanation.html", context)


def render_problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Return the error page for a picture that cannot be explained now."""
    context = {"status": status, "title": "Not explained", "detail": detail}
    return render(request, "error.html", context, status=status)
