"""What the demo says at its end: pictures per group, abstained, failed, the rate, and how many labels are right."""

from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q
from rich.table import Table

from catalog.demo.sample import read_true_garments
from catalog.models import ProductLabel
from classifier.labels.decision import DISAGREEMENT
from classifier.ml.artefacts import load_manifest
from classifier.ml.labels import GROUP_OF_GARMENT, GROUPS
from classifier.models import Classification, LabellingRun, LabelTask
from classifier.registry.services import get_artefact_folder

Status = ProductLabel.Status


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """Counts over every picture the model version has labelled, and the rate of one run.

    `sure` are pictures of the demo catalogue that were not abstained, `right` those of them whose group is the data
    set's own; `learnt` says that the version may have been trained or calibrated with them. `groups` maps each group to
    (pictures, abstained). Of the products those are counted whose label was kept, by what it stands on, those that are
    none of the groups, those about which title and picture disagree, other unsure ones, and those without a picture.
    """

    groups: dict[str, tuple[int, int]]
    by_picture: int
    by_both: int
    by_texts: int
    none_of_these: int
    disagreements: int
    unsure: int
    without_image: int
    failed: int
    labelled_now: int
    seconds: float
    sure: int
    right: int
    learnt: bool


def build_demo_summary(run: LabellingRun, *, seconds: float) -> DemoSummary:
    """Sum up what the run's model version says of the catalogue; `seconds` is what labelling took just now."""
    later = Classification.objects.filter(
        image=OuterRef("image"), model_version=run.model_version, pk__gt=OuterRef("pk")
    )
    newest = Classification.objects.filter(~Exists(later), model_version=run.model_version)
    rows = newest.values_list("group").annotate(number=Count("pk"), unsure=Count("pk", filter=Q(abstained=True)))
    counts = {group: (number, unsure) for group, number, unsure in rows}
    true_garments = read_true_garments()
    sure = newest.filter(abstained=False, image__url__in=list(true_garments)).values_list("image__url", "group")
    right = [GROUP_OF_GARMENT[true_garments[url]] == group for url, group in sure]
    labels = ProductLabel.objects.aggregate(
        by_picture=Count("pk", filter=Q(status=Status.LABELLED, evidence="")),
        by_both=Count("pk", filter=Q(status=Status.LABELLED, evidence=ProductLabel.Evidence.BOTH)),
        by_texts=Count("pk", filter=Q(status=Status.LABELLED, evidence=ProductLabel.Evidence.TEXT)),
        none_of_these=Count("pk", filter=Q(status=Status.NONE_OF_THESE)),
        disagreements=Count("pk", filter=Q(reason=DISAGREEMENT)),
        unsure=Count("pk", filter=Q(status=Status.NEEDS_REVIEW) & ~Q(reason=DISAGREEMENT)),
        without_image=Count("pk", filter=Q(status=Status.NO_IMAGE)),
    )
    return DemoSummary(
        **labels,
        groups={group: counts.get(group, (0, 0)) for group in GROUPS},
        failed=LabelTask.objects.errors().filter(model_version=run.model_version).count(),
        labelled_now=run.classifications.count(),
        seconds=seconds,
        sure=len(right),
        right=sum(right),
        learnt="reserved" not in load_manifest(get_artefact_folder(run.model_version)).dataset.get("pictures", ()),
    )


def build_summary_table(summary: DemoSummary) -> Table:
    """Return the summary as a table for the terminal."""
    table = Table(show_footer=True)
    images = sum(number for number, _ in summary.groups.values())
    abstained = sum(number for _, number in summary.groups.values())
    table.add_column("Group", footer="All")
    table.add_column("Images", justify="right", footer=f"{images:,}")
    table.add_column("Not sure", justify="right", footer=f"{abstained:,}")
    for group, (number, unsure) in summary.groups.items():
        table.add_row(group, f"{number:,}", f"{unsure:,}")
    return table


def list_summary_lines(summary: DemoSummary) -> list[str]:
    """Return what the table does not say: failures, the rate, and how many labels are right."""
    lines = [
        f"Failed: {summary.failed:,}",
        f"Products labelled by the picture: {summary.by_picture:,}, by picture and texts: {summary.by_both:,}, "
        f"by texts: {summary.by_texts:,}; none of the groups: {summary.none_of_these:,}; "
        f"title and picture disagree: {summary.disagreements:,}; not sure: {summary.unsure:,}; "
        f"without a picture: {summary.without_image:,}",
    ]
    if summary.labelled_now:
        rate = summary.labelled_now / summary.seconds
        lines.append(f"Labelled now: {summary.labelled_now:,} in {summary.seconds:.1f} s, {rate:.0f} images per second")
    else:
        lines.append("Labelled now: nothing, every picture had its label")
    if summary.sure:
        lines.append(
            f"Right group, of {summary.sure:,} pictures it was sure of: {summary.right:,} "
            f"({summary.right / summary.sure:.1%}){', which it may have learnt from' if summary.learnt else ''}"
        )
    return lines
