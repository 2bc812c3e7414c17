"""What would change if a version came into production: what its shadow run said, decided as its adoption would.

Nothing is fetched, inferred or relabelled here. A step is one transaction over STEP_SIZE products, which also writes
how far the run has come, so one that was killed is done again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from catalog.models import Image, Product, ProductDescription, ProductLabel
from catalog.values import find_host
from classifier.labels.decision import Decision
from classifier.labels.services import preview_product_labels
from classifier.ml.judging.shares import Share, measure_share
from classifier.ml.labels import GROUPS
from classifier.models import ImpactProduct, ImpactRun, LabellingRun, ModelVersion
from classifier.registry.selectors import find_active_model_version
from config.db.arrays import AnyOf
from config.db.bulk import insert_rows

State, Status = ImpactRun.State, ProductLabel.Status
STEP_SIZE = 1000
#: Hosts of pictures of which numbers are kept; a catalogue has few, an attacker may make many.
MAXIMUM_HOSTS = 1000


def name_outcome(label: Decision) -> str:
    """Return what a label comes to: its group where it has one that stands, else its status."""
    return label.group if label.status in (Status.LABELLED, Status.REVIEWED) else label.status


#: What a label may come to, in the order of tables.
OUTCOMES = (*GROUPS, *(status.value for status in Status if status not in (Status.LABELLED, Status.REVIEWED)))


def start_due_impact_runs() -> int:
    """Start the impact of each shadow run that is done and has none yet; return how many."""
    done = LabellingRun.objects.filter(shadow=True, state=State.DONE, impact=None).order_by("pk")
    return sum(_start(shadow) for shadow in done.select_related("model_version"))


def _start(shadow: LabellingRun) -> bool:
    version = shadow.model_version
    if version.is_in_production:
        return False
    products, name = _find_products(shadow)
    try:
        with transaction.atomic():
            ImpactRun.objects.create(
                shadow=shadow,
                model_version=version,
                production=find_active_model_version(),
                takes_until=products.order_by(f"-{name}").values_list(name, flat=True).first() or 0,
                requested_by=shadow.requested_by,
            )
    except IntegrityError:  # another process was first
        return False
    return True


def preview_next_step(run_id: int) -> bool:
    """Look at the run's next products; return whether there is more to do here.

    There is nothing to do in a run that has ended, or that another process is at.
    """
    with transaction.atomic():
        running = ImpactRun.objects.filter(pk=run_id, state=State.RUNNING).select_related("model_version", "shadow")
        run = running.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if run is None:
            return False
        run.started_at, run.sent_at = run.started_at or Now(), Now()
        if run.taken_until >= run.takes_until:
            run.state, run.total, run.finished_at = State.DONE, run.done, Now()
            run.save()
            return False
        product_ids = _list_next_products(run)
        labels = preview_product_labels(product_ids, production=run.model_version)
        _add(run, labels)
        run.taken_until = product_ids[-1] if len(product_ids) == STEP_SIZE else run.takes_until
        run.save()
    return True


def _list_next_products(run: ImpactRun) -> list[int]:
    products, name = _find_products(run.shadow)
    ahead = products.filter(**{f"{name}__gt": run.taken_until, f"{name}__lte": run.takes_until})
    return list(ahead.order_by(name).values_list(name, flat=True)[:STEP_SIZE])


def _find_products(shadow: LabellingRun) -> tuple[QuerySet[Any], str]:
    """Return rows of the products that the shadow run looked at, and the field that has their id."""
    return (Product.objects.all(), "pk") if shadow.sample is None else (shadow.sampled.all(), "product_id")


def _add(run: ImpactRun, labels: Mapping[int, tuple[Decision, Decision]]) -> None:
    """Add what was found of these products to the run's numbers, and write those that would change."""
    outcomes = {pk: (name_outcome(was), name_outcome(becomes)) for pk, (was, becomes) in labels.items()}
    changed = {pk for pk, (was, becomes) in outcomes.items() if was != becomes}
    insert_rows(
        ImpactProduct,
        fields=("run", "product_id", "was", "becomes"),
        rows=[(run.pk, pk, *outcomes[pk]) for pk in sorted(changed)],
    )
    cells = Counter({(was, becomes): number for was, becomes, number in run.cells})
    cells.update(outcomes.values())
    run.cells = [[was, becomes, number] for (was, becomes), number in sorted(cells.items())]
    run.done += len(labels)
    said = {pk for pk, (_, becomes) in labels.items() if becomes.source == ProductLabel.Source.MACHINE}
    own = {pk for pk in said if labels[pk][1].model_version_id == run.model_version_id}
    run.missing += len(said - own)
    run.mix = dict(Counter(run.mix) + Counter(outcomes[pk][1] for pk in own))
    countries = ProductDescription.objects.filter(AnyOf("product", labels)).order_by()
    _count(run.by_country, countries.values_list("country_code", "product_id").distinct(), changed)
    shown = {pk: was.image_id for pk, (was, _) in labels.items() if was.image_id is not None}
    urls = dict(Image.objects.filter(AnyOf("pk", shown.values())).values_list("pk", "url"))
    hosts = [(find_host(urls.get(image_id, "")), pk) for pk, image_id in shown.items()]
    _count(run.by_host, [(host, pk) for host, pk in hosts if host], changed, maximum=MAXIMUM_HOSTS)


def _count(
    numbers: dict[str, list[int]], rows: Iterable[tuple[str, int]], changed: set[int], *, maximum: int | None = None
) -> None:
    """Add to `numbers`, by name, how many products were looked at and how many of them would change."""
    for name, product_id in rows:
        if name in numbers or maximum is None or len(numbers) < maximum:
            looked_at, would_change = numbers.get(name, (0, 0))
            numbers[name] = [looked_at + 1, would_change + (product_id in changed)]


@dataclass(frozen=True, slots=True)
class Impact:
    """What a version would change, by its newest impact run. Shares are of the products that it looked at.

    `is_current` is false once another version came into production; the numbers are then about what was before. A
    share has an interval where the products were drawn; of a whole catalogue it is what it is.
    """

    run: ImpactRun
    changed: Share
    newly_sure: Share
    newly_unsure: Share
    countries: Sequence[tuple[str, Share]]
    hosts: Sequence[tuple[str, Share]]
    is_current: bool

    @property
    def is_sampled(self) -> bool:
        """Whether the products were drawn at random."""
        return self.run.shadow.sample is not None


def find_impact(version: ModelVersion) -> Impact | None:
    """Return what the version would change, by its newest impact run, or None before there is one."""
    run = ImpactRun.objects.filter(model_version=version).select_related("shadow", "production").first()
    if run is None:
        return None
    sure = [(was in GROUPS, becomes in GROUPS, number) for was, becomes, number in run.cells]
    numbers = {
        "changed": sum(number for was, becomes, number in run.cells if was != becomes),
        "newly_sure": sum(number for was, becomes, number in sure if becomes and not was),
        "newly_unsure": sum(number for was, becomes, number in sure if was and not becomes),
    }
    return Impact(
        run=run,
        **{name: measure_share(number, of=run.done) for name, number in numbers.items()},
        countries=_list_shares(run.by_country),
        hosts=_list_shares(run.by_host),
        is_current=run.production == find_active_model_version(),
    )


def find_promise(version: ModelVersion, *, production: ModelVersion | None) -> dict[str, Any]:
    """Return what is known of the impact of a version that replaces this one, as plain JSON; empty where nothing is."""
    impact = find_impact(version)
    if impact is None or impact.run.state != State.DONE or impact.run.production != production:
        return {}
    return {
        "impact_run": impact.run.pk,
        "sample": impact.run.shadow.sample,
        "products": impact.run.done,
        "missing": impact.run.missing,
        "mix": impact.run.mix,
        **{name: getattr(impact, name).to_json() for name in ("changed", "newly_sure", "newly_unsure")},
    }


def _list_shares(numbers: Mapping[str, Sequence[int]]) -> list[tuple[str, Share]]:
    """Return (name, share that would change), the name with the most products first."""
    ordered = sorted(numbers.items(), key=lambda item: (-item[1][0], item[0]))
    return [(name, measure_share(changed, of=looked_at)) for name, (looked_at, changed) in ordered]
