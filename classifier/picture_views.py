"""Pages about one picture: why it got its label, and a person's label for it."""

from typing import Any, cast

from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from rest_framework.throttling import SimpleRateThrottle

from catalog.models import Image, ProductImages
from classifier.explanations import Explanation, NotExplainableError, create_explanation, find_explanation
from classifier.ml.artefacts import ArtefactError
from classifier.ml.labels import GROUP_OF_GARMENT
from classifier.models import Classification
from classifier.services import ReviewError, record_review


class ExplanationThrottle(SimpleRateThrottle):
    """How many explanations one reader may have computed; those that are stored cost nothing and are not counted."""

    scope = "explanations"

    def get_cache_key(self, request: HttpRequest, view: object) -> str:
        """Return whose calls are counted together: a user's, or an address's."""
        who = f"user-{request.user.pk}" if request.user.is_authenticated else self.get_ident(request)  # type: ignore[arg-type]
        return self.cache_format % {"scope": self.scope, "ident": who}


@require_safe
def image_explanation(request: HttpRequest, image_id: int) -> HttpResponse:
    """Answer with the reasons of an image's label: a page, or with `?fragment` the part that a product's page shows.

    They are computed once for each picture and version. Anybody may ask; whoever asks for many that are not computed
    yet is told to wait.
    """
    image = get_object_or_404(Image.objects.select_related("stored_picture"), pk=image_id)
    newest = Classification.objects.newest().filter(image=image).defer("embedding").select_related("model_version")
    classification = newest.first()
    if classification is None:
        raise Http404
    explanation = find_explanation(classification)
    if explanation is None:
        throttle = ExplanationThrottle()
        if not throttle.allow_request(request, None):  # type: ignore[arg-type]
            response = render_problem(
                request, 429, "Too many explanations were asked for; please try again in a minute."
            )
            response["Retry-After"] = str(round(throttle.wait() or 60))
            return response
        try:
            explanation = create_explanation(image, classification=classification)
        except NotExplainableError as error:
            return render_problem(request, 404, str(error))
        except ArtefactError:
            return render_problem(
                request, 503, "This machine has not the files of the model version that gave the label."
            )
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
    context["placement"] = ProductImages.objects.filter(image=image).select_related("product").first()
    return render(request, "classifier/explanation.html", context)


def render_problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Return the error page for a picture that cannot be explained now."""
    context = {"status": status, "title": "Not explained", "detail": detail}
    return render(request, "error.html", context, status=status)


@require_POST
@login_required
@permission_required("classifier.add_review", raise_exception=True)
def product_image_review(request: HttpRequest, product_id: int, image_id: int) -> HttpResponse:
    """Record the user's label for an image, a group or a garment, and answer with the product's page."""
    placements = ProductImages.objects.filter(product=product_id, image=image_id).select_related("image")
    # The same image may stand at several places of one product.
    placement = placements.order_by("image_index").first()
    if placement is None:
        raise Http404
    garment = request.POST.get("garment", "")
    group = request.POST.get("group", "") or GROUP_OF_GARMENT.get(garment, "")
    try:
        record_review(placement.image, group=group, garment=garment, reviewer=cast(User, request.user))
    except ReviewError as error:
        context = {"status": 400, "title": "The label was not recorded", "detail": str(error)}
        return render(request, "error.html", context, status=400)
    return redirect(f"{reverse('product-detail', args=[product_id])}#image-{placement.image_index}")
