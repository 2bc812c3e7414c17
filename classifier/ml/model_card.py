"""The model card of an artefact, as Markdown: what it was made of, how good it is, and what it must not be used for.

Everything in it comes from the manifest, so that the card can be made again and compared at any time.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from classifier.ml.judging.evaluation import measure_accuracy
from classifier.ml.judging.published import MEASURES
from classifier.ml.labels import GARMENTS_OF_GROUPS, GROUPS
from classifier.ml.words import percent, write_fraction, write_known, write_share, write_table

#: How far accuracies of a repeated training may lie from the recorded ones: with another processor or number of cores,
#: sums of floating-point numbers are rounded in another order.
REPRODUCTION_TOLERANCE: Final = 0.003

_PURPOSE: Final = """\
It labels pictures of clothes in a shop's catalogue: one of five groups, and one of the ten garments within them. It
is meant to work beside people: pictures on which it abstains are looked at by a person, whose label wins."""

_LIMITS: Final = """\
- **It knows ten garments.** Skirts, hats, jewellery or furniture get one of these labels or none; abstaining is meant
  to catch them, and does not always.
- **Photographs are harder than its test.** Its networks learned from small grey pictures of single garments on an empty
  ground, and the figures below are measured on such pictures alone. A photograph is brought to that form first: the
  object is cut from the ground that is found at the border. Pictures with several garments, with a person in a scene,
  on a busy ground, folded or from close by are labelled less well. Measure on your own pictures before you rely on it:
  `manage.py evaluate_classifier --pictures DIR`.
- **The labels it learned from carry errors.** About one training label in 200 would change its group if it were judged
  by the other pictures, most of them between dresses and coats or shirts; figures for One piece suffer most."""

_SEES_SHAPE: Final = """\
- **It sees shape and brightness.** Colour, material, size, brand and the wearer are nothing to it; it says nothing
  about people and must not be used to."""

_SEES_COLOURS: Final = """\
- **It sees shape and brightness, and colours of photographs.** Material, size, brand and the wearer are nothing to it;
  it says nothing about people and must not be used to."""


def build_model_card(manifest: Mapping[str, Any]) -> str:
    """The card of the artefact whose manifest has these values, plain JSON as in its file.

    What a manifest does not record is left out: an artefact without metrics has a card without figures.
    """
    base = manifest.get("base")
    blocks = [
        f"# Model card: {manifest['version']}",
        "Made from `manifest.json` in the same folder, and from nothing else.",
        "## What it is for",
        _PURPOSE,
        write_table(
            ("Group", "Garments"),
            [(group, ", ".join(garments)) for group, garments in GARMENTS_OF_GROUPS],
        ),
        "## What it is not for",
        _LIMITS + "\n" + (_SEES_COLOURS if manifest.get("colour") else _SEES_SHAPE),
        *_describe_data(manifest),
        *_describe_training(manifest),
        *_describe_metrics(manifest["metrics"]),
        *_describe_calibration(manifest["calibration"], metrics=manifest["metrics"]),
        "## Files",
        *([f"A head on the base with the manifest `{base}`, which has the networks."] if base else []),
        write_table(
            ("File", "SHA-256"), [(f"`{name}`", f"`{digest}`") for name, digest in sorted(manifest["files"].items())]
        ),
    ]
    return "\n\n".join(blocks) + "\n"


def _describe_data(manifest: Mapping[str, Any]) -> list[str]:
    dataset, backbone = manifest["dataset"], manifest["backbone"]
    blocks = [
        "## Data and their licences",
        "Fashion-MNIST: 70,000 grey pictures of 28 x 28 pixels, © 2017 Zalando SE, MIT licence. The published test "
        "pictures measured it; none of them trained, stopped or calibrated anything. Recipes are chosen on the "
        "validation part and on training parts of photographs since `drawn` and `continued`; some choices of the "
        "earlier ones, which these begin with, were made by figures of the test part (docs/experiments.md).",
    ]
    if pictures := dataset.get("pictures"):
        blocks.append(write_table(("Part", "Pictures"), [(name, f"{count:,}") for name, count in pictures.items()]))
    if hashes := dataset.get("sha256"):
        blocks.append(
            write_table(("File, decompressed", "SHA-256"), [(f"`{k}`", f"`{v}`") for k, v in sorted(hashes.items())])
        )
    blocks.append(
        "The backbone, MobileNetV2, started from random weights."
        if backbone is None
        else f"The backbone started from Keras' MobileNetV2 weights for ImageNet, Apache-2.0 licence: "
        f"`{backbone['file']}`, SHA-256 `{backbone['sha256']}`."
    )
    if colour := manifest.get("colour"):
        blocks.append(
            f"Beside it {colour['network']} looks at the whole picture in colour at {colour['size']} pixels, with the "
            f"weights for ImageNet as they were published, {colour['licence']} licence: `{colour['file']}`, SHA-256 "
            f"`{colour['sha256']}`. The {colour['features']} components that are left of what it sees were chosen on "
            f"{colour['pictures']:,} photographs of clothes, without their labels. {_tell_what_colours_do(manifest)}"
        )
    return blocks


def _tell_what_colours_do(manifest: Mapping[str, Any]) -> str:
    photographs = manifest["calibration"].get("photographs") or {}
    if _is_taught(manifest):
        return (
            "What it sees serves similar products, and the heads that the catalogue taught: they tell the groups of "
            "photographs by it as well."
        )
    if photographs.get("upright_colours") or photographs.get("distance"):
        return (
            "What it sees serves similar products and heads that are taught. It changes no group by itself, but the "
            "confidence, by how likely a photograph stands upright and how far it is from usual ones, and so what is "
            "answered."
        )
    return "What it sees serves similar products and heads that are taught, and changes no answer by itself."


def _is_taught(manifest: Mapping[str, Any]) -> bool:
    """Whether it is a head with numbers of its own, which a catalogue taught."""
    return bool(manifest.get("base") and manifest["files"])


def _describe_training(manifest: Mapping[str, Any]) -> list[str]:
    training, recipe = manifest["training"], dict(manifest["recipe"])
    costs = [
        ("Parameters", f"{manifest['parameters']:,}"),
        *_known(training, "seconds", "Training and evaluation", lambda value: f"{value:,.0f} s"),
        *_known(training, "cpu_seconds", "Processor time", lambda value: f"{value:,.0f} s"),
        *_known(training, "peak_memory_bytes", "Peak memory", lambda value: f"{value / 1e9:.1f} GB"),
        *_known(
            training,
            "best_epochs",
            "Epoch whose weights were kept, of each member",
            lambda value: ", ".join(str(epoch) for epoch in value),
        ),
    ]
    description = recipe.pop("description", "")
    blocks = [
        "## Training",
        *([f"{description}."] if description else []),
        f"Made {manifest['created_at']} with seed {manifest['seed']}:",
        f"    {manifest['command']}",
        "Its heads learned from the catalogue as it was then; the same command learns from the catalogue as it is."
        if _is_taught(manifest)
        else "The same command on a CPU makes its networks again: every random choice follows from the seed. Their "
        f"accuracies are then within {REPRODUCTION_TOLERANCE} of those below.",
        write_table(("", "Value"), costs),
        write_table(("Recipe", "Value"), [(name.replace("_", " "), _plain(value)) for name, value in recipe.items()]),
    ]
    if libraries := manifest["libraries"]:
        blocks.append(write_table(("Library", "Version"), sorted(libraries.items())))
    return blocks


def _describe_metrics(metrics: Mapping[str, Any]) -> list[str]:
    if not metrics:
        return []
    rows = [
        ("Accuracy over five groups", write_fraction(measure_accuracy(metrics, "accuracy"))),
        ("Accuracy over ten garments", write_fraction(measure_accuracy(metrics, "garment_accuracy"))),
        ("Balanced accuracy over groups", write_known(metrics["balanced_accuracy"], ".4f")),
        ("Macro F1 over groups", write_known(metrics["macro_f1"], ".4f")),
    ]
    points = metrics["operating_points"]
    scores = [
        (name, group, *(write_known(point[group][measure], ".4f") for measure in MEASURES))
        for name, point in points.items()
        for group in GROUPS
    ]
    return [
        f"## Results on {metrics['images']:,} test pictures",
        write_table(("", "Value"), rows),
        "In brackets: 95 % intervals. `argmax` takes the most probable group and is what serves. `balanced` weighs the "
        "groups, with factors chosen on the calibration part, so that as few published figures as possible are higher.",
        write_table(("Operating point", "Group", *MEASURES.values()), scores),
    ]


def _describe_calibration(calibration: Mapping[str, Any], *, metrics: Mapping[str, Any]) -> list[str]:
    if not calibration:
        return []
    threshold = calibration.get("threshold")
    own = () if threshold is not None else ("Least confidence",)
    rows = [
        (group, *(f"{calibration['thresholds'][group]:.3f}" for _ in own), f"{factor:.3f}")
        for group, factor in _in_order(calibration["balanced_weights"])
    ]
    blocks = [
        "## Calibration and abstention",
        "Chosen on the calibration part, which neither trained nor stopped it. Logits are divided by "
        f"{calibration['temperature']:.3f}. A label is kept from the confidence at which "
        f"{percent(calibration['target_precision'], digits=0)} of the kept calibration pictures "
        + (f"are right, {threshold:.3f}. " if threshold is not None else "of that group are right. ")
        + "It abstains below that, with little evidence for any garment (under "
        f"{calibration['evidence_threshold']:.2f}), and on blank pictures.",
        *(
            [f"The garment within a group is not sure below {percent(sure)} of the group's probability."]
            if (sure := calibration.get("garment_threshold")) is not None
            else []
        ),
        write_table(("Group", *own, "Factor at `balanced`"), rows),
        *_describe_photographs(calibration.get("photographs")),
    ]
    if metrics:
        blocks.append(
            f"On the test pictures: expected calibration error {metrics['expected_calibration_error']:.4f} over 15 "
            f"bins; {percent(metrics['answered'])} answered, "
            f"{write_share(measure_accuracy(metrics, 'accuracy_of_answered'), digits=2)} of the answers right."
        )
    return blocks


def _describe_photographs(photographs: Mapping[str, Any] | None) -> list[str]:
    if photographs is None:
        return []
    return [
        "Pictures that do not come in canonical form are photographs. A tall object is looked at with parts cut off, "
        "too, unless the first look is sure, and the mean of the logits counts. It is divided by "
        f"{photographs['temperature']:.3f}, the groups' probabilities are multiplied by the factors below, and come "
        "the nearer to an even chance the more a picture looks like a turned one"
        + (", and the less it looks like usual photographs" if photographs.get("distance") else "")
        + ". These constants were chosen on photographs that trained nothing; no evidence is asked for.",
        write_table(
            ("Group", "Factor for photographs"),
            [(group, f"{factor:.3f}") for group, factor in _in_order(photographs["group_weights"])],
        ),
    ]


def _in_order(of_groups: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(group, of_groups[group]) for group in GROUPS]


def _known(values: Mapping[str, Any], key: str, title: str, write: Callable[[Any], str]) -> list[tuple[str, str]]:
    """One row, or none where an older artefact does not say."""
    return [(title, write(values[key]))] if values.get(key) is not None else []


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(inner)}" for name, inner in value.items())
    return "-" if value is None else str(value)
