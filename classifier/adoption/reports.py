"""How far a version's adoption is, and which versions the labels of the catalogue are from; counted now and then."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.models import Product
from classifier.adoption.runs import list_version_counts
from classifier.ml.words import NONE, percent, write_share
from classifier.models import AdoptionRun, ModelVersion
from classifier.runs.pages import get_run_count

Watch = AdoptionRun.Watch


@dataclass(frozen=True, slots=True)
class AdoptionReport:
    """An adoption, how many products it looks at, and (version, number of products that have their label from it).

    `live` says whether the numbers still change by it: it goes on, or the labelling run that it started does.
    """

    run: AdoptionRun
    total: int
    versions: Sequence[tuple[str, int]]
    live: bool

    @property
    def share(self) -> float:
        """How much it has looked at, 0 to 1."""
        return min(1.0, self.run.done / self.total) if self.total else 1.0

    @property
    def progress(self) -> str:
        """How many products it has looked at."""
        return f"{self.run.done:,} of {self.total:,} products looked at"

    @property
    def forced(self) -> str:
        """Why the version was activated though it may be worse; empty where it is not known to be."""
        reason = self.run.reason
        return f"Activated though it may be worse than the version before: {reason}" if reason else ""

    @property
    def departure(self) -> str:
        """In what its labels are not those that were promised; empty where they are, or it is not known yet."""
        return describe_departure(self.run.watched) if self.run.watch == Watch.DEPARTED else ""

    @property
    def watched(self) -> str:
        """What the watch knows of its labels; empty where nothing was promised."""
        return f"Watched since its activation: {self.run.get_watch_display()}." if self.run.watch else ""


def describe_departure(watched: Mapping[str, Any]) -> str:
    """Return in sentences what the watch found that was not promised."""
    return f"Its labels are not as they were promised. {' '.join(watched['departures'])}"


def describe_activation(*, instead_of: ModelVersion | None) -> str:
    """Return what making a version the active one does, where this one is active now, for the pages that offer it."""
    instead = f" instead of {instead_of.name}" if instead_of else ""
    return (
        f"Labels follow this version{instead}: what it said before counts again, and a labelling run looks at what it "
        "has not seen. Open labelling runs of other versions end. What people said stays."
    )


def describe_promise(run: AdoptionRun) -> str:
    """Return what the version's impact promised of an adoption, beside what came; empty where nothing was promised."""
    if not run.promised:
        return ""
    share = run.promised["changed"]
    promised = write_share(share) if run.promised["sample"] is not None else percent(share["value"])
    came = percent(run.moved / run.done) if run.done else NONE
    is_labelling = run.labelling_run is not None and run.labelling_run.is_open
    rest = " The others follow with what it had not seen." if is_labelling else ""
    return f"Promised was another group or status for {promised} of the products; {came} have another by now.{rest}"


def find_adoption_report(version: ModelVersion) -> AdoptionReport | None:
    """Return the report of the version's newest adoption, or None; its counts are cached as those of labelling runs."""
    run = AdoptionRun.objects.filter(model_version=version).select_related("requested_by", "labelling_run").first()
    if run is None:
        return None
    counted = get_run_count(
        f"adoption-{run.pk}", count=lambda _: _count(run), is_current=lambda known: known["state"] == run.state
    )
    return AdoptionReport(
        run=run,
        total=counted["total"],
        versions=[(name, number) for name, number in counted["versions"]],
        live=run.is_open or (run.labelling_run is not None and run.labelling_run.is_open),
    )


def _count(run: AdoptionRun) -> dict[str, Any]:
    """Return what a report is built of, as JSON knows it; products that are deleted meanwhile are not looked at."""
    ahead = Product.objects.filter(pk__gt=run.taken_until, pk__lte=run.takes_until)
    total = run.total if run.state == AdoptionRun.State.DONE else run.done + ahead.count()
    return {"state": run.state, "total": total, "versions": list_version_counts()}
