"""Reads of what decides labels: reviews, classifications and failures of pictures, for any number of images at once."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import F, OuterRef, Q, Subquery

from catalog.models import Image, StoredPicture
from classifier.labels.decision import Classified, Failure, PictureFacts, Reviewed
from classifier.models import Classification, LabellingRun, LabelTask, ModelVersion, Review, SuspectedPicture
from config.db.arrays import AnyOf


def list_deciding_versions(*, production: ModelVersion | None = None) -> list[int]:
    """Return the versions whose classifications decide labels, the one that counts first.

    That is the version in production, or `production` if it were, then those that were before it, newest first, but
    none that was left by going back to a version before it.
    """
    rows = ModelVersion.objects.filter(Q(stage=ModelVersion.Stage.PRODUCTION) | Q(first_activated_at__isnull=False))
    versions = list(rows.only("stage", "left_at").order_by(F("first_activated_at").desc(nulls_first=True), "-pk"))
    first = production or next((version for version in versions if version.is_in_production), None)
    before = versions[versions.index(first) + 1 :] if first in versions else versions
    standing = [version.pk for version in before if version.left_at is None]
    return [first.pk, *standing] if first else standing


def find_picture_facts(
    image_ids: Collection[int], *, every_failure: bool = False, production: ModelVersion | None = None
) -> dict[int, PictureFacts]:
    """Return what decides the label of each image, by its id; in six queries at most.

    Failures are looked for where they decide, or of every image: the last try may have failed after one that did not.
    With `production` as if that version were in production.
    """
    if not image_ids:
        return {}
    suspected = SuspectedPicture.objects.exclude(answer=SuspectedPicture.Answer.PICTURE)
    rows = Image.objects.filter(AnyOf("pk", image_ids)).values_list(
        "pk",
        "url",
        "stored_picture__url",
        "stored_picture__sha256",
        "stored_picture__former_appearance",
        Subquery(suspected.filter(sha256=OuterRef("stored_picture__sha256")).values("found_at")),
    )
    # Address, hash and appearance; a picture that came from another address is not the image's own.
    pictures, placeholders = {}, {}
    for pk, url, stored_url, sha256, former_appearance, suspected_since in rows:
        is_own = stored_url == url
        pictures[pk] = (url, sha256, former_appearance or sha256) if is_own else (url, "", "")
        placeholders[pk] = suspected_since if is_own else None
    reviews = _find_reviews(pictures)
    held = {pk: sha256 for pk, (_, sha256, _) in pictures.items() if sha256}
    classified = _find_classifications(held, versions=list_deciding_versions(production=production)) if held else {}
    undecided = [pk for pk in pictures if every_failure or (pk not in reviews and pk not in classified)]
    failures = _find_failures(undecided) if undecided else {}
    return {
        pk: PictureFacts(
            image_id=pk,
            sha256=sha256,
            review=reviews.get(pk),
            placeholder_since=placeholders[pk],
            classifications=classified.get(pk, ()),
            failure=failures.get(pk),
        )
        for pk, (_, sha256, _) in pictures.items()
    }


def find_held_hashes(image_ids: Collection[int]) -> dict[int, str]:
    """Return the SHA-256 of the picture that we hold of each image's present address. Two queries.

    Not by a join of images and pictures on id and address: PostgreSQL takes that for rare, and reads every image.
    """
    urls = dict(Image.objects.filter(AnyOf("pk", image_ids)).values_list("pk", "url"))
    pictures = StoredPicture.objects.filter(AnyOf("image", image_ids)).order_by()
    rows = pictures.values_list("image_id", "sha256", "url")
    return {image_id: sha256 for image_id, sha256, url in rows if urls.get(image_id) == url}


def find_images_with_appearance(appearances: Collection[str]) -> list[int]:
    """Return the images whose picture, as we hold it, has one of these appearances."""
    look = Q(stored_picture__sha256__in=appearances, stored_picture__former_appearance="")
    look |= Q(stored_picture__former_appearance__in=appearances)
    return list(Image.objects.filter(look, stored_picture__url=F("url")).order_by("pk").values_list("pk", flat=True))


def _find_reviews(pictures: dict[int, tuple[str, str, str]]) -> dict[int, Reviewed]:
    """Return the newest review that stands for each picture: of its appearance, or of image and address before."""
    images_of = defaultdict(list)
    for pk, (_, sha256, appearance) in pictures.items():
        if sha256:
            images_of[appearance].append(pk)
    standing = Review.objects.standing().order_by("pk")
    fields = ("pk", "verdict", "group", "garment", "created_at", "image_id", "url", "appearance")
    rows = list(standing.filter(AnyOf("image", pictures), appearance="").values_list(*fields))
    if images_of:
        rows += standing.filter(appearance__in=images_of).values_list(*fields)
    found: dict[int, Reviewed] = {}
    for pk, verdict, group, garment, at, image_id, url, appearance in sorted(rows):
        of = images_of[appearance] if appearance else [image_id] if pictures[image_id][0] == url else []
        review = Reviewed(id=pk, verdict=verdict, group=group, garment=garment, at=at, is_bound=bool(appearance))
        found.update(dict.fromkeys(of, review))
    return found


def _find_classifications(held: dict[int, str], *, versions: Sequence[int]) -> dict[int, list[Classified]]:
    """Return what these versions said of the pictures held, in the versions' order."""
    rank = {pk: number for number, pk in enumerate(versions)}
    rows = Classification.objects.filter(AnyOf("image", held), model_version__in=rank).order_by()
    found: dict[int, list[tuple[int, int, Classified]]] = defaultdict(list)
    said: Any
    for image_id, sha256, *said in rows.values_list(
        "image_id",
        "sha256",
        "pk",
        "model_version_id",
        "group",
        "garment",
        "confidence",
        "abstained",
        "garment_unsure",
        "created_at",
        "garment_probabilities",
        "none_probability",
        "run_id",
    ):
        if sha256 == held[image_id]:
            classified = Classified(*said)
            found[image_id].append((rank[classified.model_version_id], -(classified.run_id or 0), classified))
    return {pk: [row[2] for row in sorted(rows, key=lambda row: row[:2])] for pk, rows in found.items()}


def _find_failures(image_ids: Collection[int]) -> dict[int, Failure]:
    """Return the last failure of each image that has one, of any version; a task that is done again keeps its own.

    One in a shadow run is none: nothing moves by it.
    """
    failed = LabelTask.objects.filter(AnyOf("image", image_ids)).exclude(error_code="")
    failed = failed.exclude(run__in=LabellingRun.objects.filter(shadow=True).order_by().values("pk"))
    rows = failed.exclude(state=LabelTask.State.CANCELLED).order_by("last_failed_at", "pk")
    fields = rows.values_list("image_id", "error_code", "last_failed_at")
    return {image_id: Failure(code=code, at=at) for image_id, code, at in fields}
