"""The report on experiments, made from the stored records and nothing else.

A section on a recipe names it in ``recipe``: its plots and sheets lie beside that record.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from classifier.ml.judging.evaluation import measure_accuracy
from classifier.ml.judging.published import CELLS, MEASURES, PUBLISHED, is_reached
from classifier.ml.judging.shares import LEAST_COUNT, measure_share
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.reports.curves import tell_losses_apart
from classifier.ml.reports.sections import Block, Section, build_table
from classifier.ml.words import NONE, UNKNOWN, percent, write_fraction, write_known, write_share

Record = Mapping[str, Any]

_POINTS: Final = ("argmax", "balanced")
_PARTS: Final = ("train", "validation", "test")


def build_sections(records: Sequence[Record], *, tried: Sequence[tuple[str, str]]) -> list[Section]:
    """The report on these records, in their order, and on what was tried; none without a record."""
    if not records:
        return []
    table = build_table("Measured and not used, or used because of it", ("Tried", "Result"), tried, words=2)
    ending: Section = {
        "id": "tried",
        "title": "What else was tried",
        "text": ["Every line was measured; what is not here was not."],
        "blocks": [{"table": table}],
    }
    return [_summarise(records), *map(_describe_recipe, records), *([ending] if tried else [])]


def _summarise(records: Sequence[Record]) -> Section:
    """The recipes beside each other: how good, at what cost, and how much of it learnt by heart."""
    cores = max(record["costs"]["cores"] for record in records)
    images = max(record["costs"]["images"] for record in records)
    return {
        "id": "summary",
        "title": "All recipes",
        "text": [
            f"Measured on the {images:,} test pictures, which trained, stopped and calibrated nothing. Recipes are "
            "chosen on the validation part and on training parts of photographs since drawn and continued; some "
            "choices of the earlier ones were made by figures of the test part, as what was tried says. Accuracy is "
            "quoted at argmax, the operating point that serves, and 95 % intervals stand in brackets; of fewer than "
            f"{LEAST_COUNT} pictures no share is told. Balanced weighs the groups, with factors chosen on "
            "the calibration part, so that as few published cells as possible are higher than ours to two decimals.",
            f"Our times are the median of three runs, from pictures in memory to labels, on a processor with {cores} "
            "cores and without a GPU. Published times come from another machine.",
        ],
        "blocks": [_compare_quality(records), _compare_costs(records), _compare_parts(records)],
    }


def _compare_quality(records: Sequence[Record]) -> Block:
    rows = [
        (
            record["recipe"]["name"],
            record["recipe"].get("published_column") or UNKNOWN,
            write_fraction(measure_accuracy(record["metrics"], "accuracy")),
            write_fraction(measure_accuracy(record["metrics"], "garment_accuracy")),
            f"{record['metrics']['expected_calibration_error']:.4f}",
            f"{record['one_piece']['precision']:.3f}",
            *(str(record["higher_cells"][point]["all"]) for point in _POINTS),
            UNKNOWN
            if record["higher_cells"]["argmax"]["own"] is None
            else " / ".join(str(record["higher_cells"][point]["own"]) for point in _POINTS),
        )
        for record in records
    ]
    columns = (
        "Recipe", "Answers the published", "Accuracy, groups", "Accuracy, garments", "Calibration error",
        "One piece at recall 0.96: precision", f"Published cells above ours, of {CELLS}: argmax", "balanced",
        "In its own column: argmax / balanced",
    )  # fmt: skip
    return {"title": "How good", "table": build_table("Test pictures", columns, rows, words=2)}


def _compare_costs(records: Sequence[Record]) -> Block:
    formats = {
        "Recipe": "", "Parameters": ",.0f", "File, MB": ".1f", "Test images, s": ".2f", "Images a second": ",.0f",
        "Training, s": ",.0f", "Training, processor s": ",.0f", "Training, peak memory, GB": ".1f",
    }  # fmt: skip
    ours = [
        (
            record["recipe"]["name"],
            costs["parameters"],
            costs["artefact_bytes"] / 1e6,
            costs["seconds"],
            costs["images_per_second"],
            costs["training_seconds"],
            costs["training_cpu_seconds"],
            costs["training_peak_memory_bytes"] and costs["training_peak_memory_bytes"] / 1e9,
        )
        for record in records
        for costs in [record["costs"]]
    ]
    published = [
        (
            f"published: {result.name}",
            *(write_known(result.parameters, ",.0f"), write_known(result.megabytes, ".1f")),
            *(write_known(result.seconds, ".1f"), write_known(result.seconds and 10_000 / result.seconds, ",.0f")),
            *[UNKNOWN] * 3,
        )
        for result in PUBLISHED.values()
    ]
    rows = [[write_known(*pair) for pair in zip(row, formats.values(), strict=True)] for row in ours]
    return {
        "title": "What it costs",
        "text": ["Our file is the whole artefact folder; it keeps the weights twice, to train on and to serve."],
        "table": build_table("Ours and published", tuple(formats), [*rows, *published]),
    }


def _compare_parts(records: Sequence[Record]) -> Block:
    rows = []
    for record in records:
        parts, counts = record["accuracy"], _count_parts(record)
        groups, garments = (
            [_write_part(parts[part], key, count=counts.get(part)) for part in _PARTS]
            for key in ("accuracy", "garment_accuracy")
        )
        gap = parts["train"] and 100 * (parts["train"]["accuracy"] - parts["test"]["accuracy"])
        rows.append((record["recipe"]["name"], *groups, write_known(gap, "+.2f"), *garments))
    columns = (
        "Recipe", "Groups: training", "validation", "test", "Training less test, points", "Garments: training",
        "validation", "test",
    )  # fmt: skip
    return {
        "title": "Training against validation and test",
        "text": [
            "A network that has learnt its pictures by heart is much better on them than on others. The published "
            "classifiers report no overfitting, without figures."
        ],
        "table": build_table("Accuracy in each part", columns, rows),
    }


def _count_parts(record: Record) -> dict[str, int]:
    """How many pictures of each part were judged, as far as the record says: of training no more than of validation."""
    pictures, test = record["dataset"].get("pictures", {}), {"test": record["costs"]["images"]}
    if not {"train", "validation"} <= set(pictures):
        return test
    return {"train": min(pictures["train"], pictures["validation"]), "validation": pictures["validation"]} | test


def _write_part(part: Mapping[str, Any] | None, key: str, *, count: int | None) -> str:
    if part is None or count is None:
        return write_known(part and part[key], ".4f")
    return write_fraction(measure_share(part[key] * count, of=count).to_json())


def _describe_recipe(record: Record) -> Section:
    recipe, metrics, embedding = record["recipe"], record["metrics"], record["embedding"]
    return {
        "id": recipe["name"],
        "recipe": recipe["name"],
        "title": f"Recipe {recipe['name']}",
        "text": [
            f"{recipe['description']}. Version {record['version']}, seed {record['seed']}.",
            f"It answers {percent(metrics['answered'])} of the pictures and leaves the others to a person; of the "
            f"answers {write_share(measure_accuracy(metrics, 'accuracy_of_answered'), digits=2)} are right.",
            f"By its embedding, {percent(embedding['nearest_same_group'])} of the test pictures lie next to one of "
            f"their own group, {percent(embedding['nearest_same_garment'])} next to one of their own garment, and of "
            f"the ten nearest {percent(embedding['precision_at_10'])} share the group.",
        ],
        "command": record["command"],
        "blocks": [
            _compare_with_published(record),
            _describe_confusion(record, kind="groups", names=GROUPS),
            _describe_confusion(record, kind="garments", names=GARMENTS),
            _describe_reliability(record),
            _describe_risk(record),
            *([_describe_history(record)] if record["history"] else []),
            _describe_mistakes(record),
        ],
    }


def _compare_with_published(record: Record) -> Block:
    """Cell by cell; ours stand out where they are not below what this recipe answers."""
    own, points = record["recipe"].get("published_column"), record["metrics"]["operating_points"]
    answered = [own] if own in PUBLISHED else list(PUBLISHED)
    rows = []
    for group in GROUPS:
        for measure, title in MEASURES.items():
            published = {name: getattr(result.scores[group], measure) for name, result in PUBLISHED.items()}
            bar = max(published[name] for name in answered)
            ours = [points[point][group][measure] for point in _POINTS]
            cells = [{"text": write_known(figure, ".3f"), "strong": is_reached(bar, ours=figure)} for figure in ours]
            rows.append((group, title, *cells, *(f"{figure:.2f}" for figure in published.values())))
    compared = f"the column “{own}”, which this recipe answers" if own in PUBLISHED else "the best of the four columns"
    columns = ("Group", "Figure", "Ours, argmax", "Ours, balanced", *PUBLISHED)
    return {
        "title": "Against the published results",
        "text": [f"Bold: ours, rounded to two decimals, is not below {compared}."],
        "table": build_table("Test pictures", columns, rows, words=2),
    }


def _describe_confusion(record: Record, *, kind: str, names: Sequence[str]) -> Block:
    rows = [
        (name, *(f"{count:,}" for count in row)) for name, row in zip(names, record["confusion"][kind], strict=True)
    ]
    return {
        "title": f"Confusion over {kind}",
        "plot": record["plots"][f"confusion-{kind}"],
        "table": build_table("Pictures; rows are true, columns what was said", ("", *names), rows),
    }


def _describe_reliability(record: Record) -> Block:
    rows = [
        (
            f"{row['low']:.2f} to {row['high']:.2f}",
            f"{row['count']:,}",
            f"{row['confidence']:.3f}",
            f"{row['accuracy']:.3f}" if row["count"] >= LEAST_COUNT else NONE,
        )
        for row in record["reliability"]
        if row["count"]
    ]
    error = record["metrics"]["expected_calibration_error"]
    return {
        "title": "Reliability",
        "text": [
            f"Confidence and accuracy in {len(record['reliability'])} equal bins of the group's confidence; their mean "
            f"gap, weighted by pictures, is the calibration error: {error:.4f}. Bins without a picture are left out, "
            f"and of those with fewer than {LEAST_COUNT} no accuracy is told."
        ],
        "plot": record["plots"]["reliability"],
        "table": build_table("Groups, test pictures", ("Confidence", "Pictures", "Mean confidence", "Right"), rows),
    }


def _describe_risk(record: Record) -> Block:
    curve = record["risk_coverage"]
    rows = [
        (
            percent(point["coverage"], digits=0),
            percent(point["risk"], digits=2),
            f"{point['least_confidence']:.4f}",
        )
        for point in curve["points"]
    ]
    return {
        "title": "Risk against coverage",
        "text": [
            "What is wrong among the answers when only the most confident pictures are answered. The area under the "
            f"curve, lower is better, is {curve['area']:.5f}."
        ],
        "plot": record["plots"]["risk-coverage"],
        "table": build_table("Groups, test pictures", ("Answered", "Wrong of these", "Least confidence"), rows),
    }


def _describe_history(record: Record) -> Block:
    history = tell_losses_apart(record["history"])
    titles = {
        "loss": "Training loss",
        "validation_loss": "Validation loss",
        "validation_garment_loss": "Validation loss, garments alone",
        "validation_accuracy": "Accuracy, groups",
        "validation_garment_accuracy": "Accuracy, garments",
    }
    # The training loss is of groups and garments together: beside that of garments alone it would say nothing.
    hidden = set() if "validation_loss" in history[0] else {"loss"}
    figures = {name: title for name, title in titles.items() if name in history[0] and name not in hidden}
    rows = [
        (f"{row['epoch']:.0f}" + (", kept" if row["best"] else ""), *(f"{row[name]:.4f}" for name in figures))
        for row in history
    ]
    return {
        "title": "While training",
        "text": [
            "Losses over garments and, by the recipe's weight, over groups together, but where it says garments alone; "
            "the epoch with the least of these is kept. The training loss is counted on augmented pictures, with "
            "dropout, so that it may lie above that of validation."
            + (" A validation loss of that sum was not kept here: the plot alone shows it." if hidden else "")
        ],
        "plot": record["plots"]["training"],
        "table": build_table("Accuracies on the validation part", ("Epoch", *figures.values()), rows),
    }


def _describe_mistakes(record: Record) -> Block:
    entries = [
        {
            "tiles": [row["tile"]],
            "lines": [
                f"{row['garment']}, said {row['said_garment']}",
                f"{row['said_group']}, {percent(row['confidence'])}{', abstained' if row['abstained'] else ''}",
            ],
        }
        for row in record["mistakes"]
    ]
    return {
        "title": "The most confident mistakes",
        "text": [f"{len(entries)} of {record['wrong']:,} pictures with a wrong group, the surest first."],
        "gallery": {"kind": "pictures", "entries": entries},
    }
