"""The epochs of a training as a table and as drawings."""

from classifier.ml.reports.curves import build_history


def test_epochs_are_a_table_and_a_curve_begins_with_the_second() -> None:
    first = {"epoch": 1, "loss": 1.0, "learning_rate": 0.001}

    one = build_history([first])
    two = build_history([first, {"epoch": 2, "loss": 0.5, "validation_garment_loss": 0.7}])

    assert one == {"columns": ["loss", "learning rate"], "rows": [(1, ["1.0000", "0.001000"])], "curves": []}
    assert two["rows"][1] == (2, ["0.5000", "-", "0.7000"])
    (curve,) = two["curves"]
    assert curve["lines"] == [{"words": "training", "points": "0.0,0.0 300.0,100.0"}]
    assert (curve["lowest"], curve["highest"], curve["epochs"]) == ("0.5000", "1.0000", 2)


def test_losses_of_another_sum_have_another_name_and_no_line_beside_the_trainings() -> None:
    # Given epochs of an artefact whose validation loss is over garments alone, which it does not say,
    older = [{"epoch": number, "loss": 1 / number, "validation_loss": 0.5} for number in (1, 2)]
    # and of one that knows both,
    newer = [{**row, "validation_garment_loss": 0.4} for row in older]

    assert build_history(older)["columns"] == ["loss", "validation garment loss"]
    assert [line["words"] for line in build_history(older)["curves"][0]["lines"]] == ["training"]
    assert build_history(newer)["columns"] == ["loss", "validation loss", "validation garment loss"]
    assert [line["words"] for line in build_history(newer)["curves"][0]["lines"]] == ["training", "validation"]


def test_an_accuracy_is_a_percentage() -> None:
    history = build_history([{"epoch": 1, "validation_accuracy": 0.9}, {"epoch": 2, "validation_accuracy": 0.98765}])

    assert history["rows"][1] == (2, ["98.77 %"])
    (curve,) = history["curves"]
    assert (curve["lowest"], curve["highest"]) == ("90.00 %", "98.77 %")
