"""Trainings side by side: what was asked for, what they were made from, and how good what came out of them is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from classifier.adoption.views import FIGURES
from classifier.ml.reports.curves import build_history
from classifier.ml.words import UNKNOWN
from classifier.models import ModelVersion, TrainingRun
from classifier.registry.selectors import find_active_model_version
from config.web.queries import parse_id
from config.web.texts import format_duration

#: More do not fit beside each other.
MAXIMUM_RUNS: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the comparison: its title and a value for each column; `differs` where they are not all the same."""

    title: str
    values: Sequence[str]

    @property
    def differs(self) -> bool:
        """Whether the columns have different values."""
        return len(set(self.values)) > 1


@require_safe
@login_required
@permission_required("classifier.view_trainingrun", raise_exception=True)
def training_run_compare(request: HttpRequest) -> HttpResponse:
    """Answer with the trainings that the address names, side by side; up to `MAXIMUM_RUNS`."""
    texts = request.GET.getlist("run")
    chosen = [pk for pk in map(parse_id, texts) if pk is not None]
    if len(chosen) < len(texts):
        raise BadRequest("Expected numbers of trainings as run.")
    runs = list(TrainingRun.objects.filter(pk__in=chosen[:MAXIMUM_RUNS]).select_related("model_version").order_by("pk"))
    production = find_active_model_version()
    context = {
        "runs": runs,
        "production": production,
        "asked": list_asked(runs),
        "figures": list_figures(runs, production),
        "histories": [(run, build_history(run.progress.get("history", []))) for run in runs],
    }
    return render(request, "classifier/training_run_compare.html", context)


def list_asked(runs: Sequence[TrainingRun]) -> list[Row]:
    """Return what was asked for and what it was made from, a value for each run."""
    told = [_tell(run) for run in runs]
    return [Row(title, [of[title] for of in told]) for title in (told[0] if told else {})]


def _tell(run: TrainingRun) -> dict[str, str]:
    origin = run.origin
    pictures = origin.get("pictures", {})
    took = (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
    return {
        "State": run.get_state_display(),
        "Recipe": run.recipe,
        "Seed": str(run.seed),
        "Epochs": str(run.epochs or "By recipe"),
        "Pictures": f"{run.limit:,}" if run.limit else "All",
        "Begins with": Path(run.backbone_weights).name or "As the settings say",
        "Data set": f"{origin['dataset']}, {origin['dataset_sha256'][:12]}" if origin.get("dataset") else UNKNOWN,
        "Its parts": ", ".join(f"{name} {number:,}" for name, number in pictures.items()) or UNKNOWN,
        "Code": origin.get("code_sha256", "")[:12] or UNKNOWN,
        "Libraries": ", ".join(f"{name} {of}" for name, of in sorted(origin.get("libraries", {}).items())) or UNKNOWN,
        "Took": format_duration(took) if took is not None else UNKNOWN,
    }


def list_figures(runs: Sequence[TrainingRun], production: ModelVersion | None) -> list[Row]:
    """Return the figures of the test pictures with their intervals: of each run's version, and last of production's."""
    versions = [*(run.model_version for run in runs), *([production] if production else [])]
    return [
        Row(title, [of.write_figure(name) if of is not None and of.has_figure(name) else UNKNOWN for of in versions])
        for name, title in FIGURES
    ]
