"""Drift checks against what is stored, and the life of their alarms."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from classifier.ml.judging.drift import DriftInputError
from classifier.models import Alarm, Classification, DriftCheck, LabelTask, ModelVersion, PictureFeatures, Review
from classifier.monitoring.services import (
    AlarmStateError,
    acknowledge_alarm,
    check_drift,
    check_drift_when_due,
    close_alarm,
)
from classifier.registry.selectors import NoActiveModelVersionError
from tests.support.drifting import create_alarm, create_classified, create_drift_check
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def _small_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.monitoring.windows.REFERENCE_PICTURES", 400)


@pytest.fixture
def version() -> ModelVersion:
    """A version in production with a reference: two runs, of which the second makes it large enough."""
    version = create_model_version()
    create_classified(version, number=300, seed=1)
    create_classified(version, number=200, seed=2)
    return version


def list_states() -> list[tuple[str, str]]:
    return list(Alarm.objects.order_by("pk").values_list("signal", "state"))


def test_pictures_like_those_before_are_no_drift(version: ModelVersion) -> None:
    create_classified(version, number=300, seed=3)

    check = check_drift()

    assert (check.is_different, check.reference_pictures, check.window_pictures) == (False, 500, 300)
    assert check.permuted == "pictures"
    assert 0 < check.false_alarm_rate <= 0.06
    assert list_states() == []


def test_a_worker_checks_once_a_window_of_new_pictures_is_there(version: ModelVersion) -> None:
    assert check_drift_when_due() is None  # only the reference is there
    create_classified(version, number=520, seed=3)
    check = check_drift_when_due()
    assert check is not None
    assert (check.window_pictures, check.requested_by) == (500, None)
    create_classified(version, number=499, seed=4)
    assert check_drift_when_due() is None
    create_classified(version, number=1, seed=5)
    assert check_drift_when_due() is not None
    assert DriftCheck.objects.count() == 2


def test_other_pictures_are_suspected_then_an_alarm_by_pictures_that_came_later(version: ModelVersion) -> None:
    create_classified(version, number=120, seed=3)
    create_classified(version, number=80, seed=4, moved=1.0, host="new.example")
    first = check_drift()
    assert first.is_different
    assert list_states() == [("features", "suspected")]
    assert not first.findings["another_mix"]

    # The same pictures again confirm nothing.
    assert check_drift().is_different
    assert list_states() == [("features", "suspected")]

    create_classified(version, number=120, seed=5)
    run = create_classified(version, number=80, seed=6, moved=1.0, host="new.example")
    second = check_drift(pictures=200)
    alarm = Alarm.objects.get()
    assert (alarm.state, alarm.first_check, alarm.last_check) == ("alarm", first, second)
    assert alarm.confirmed_at is not None
    assert alarm.segment == "host new.example"
    shown = set(second.findings["images"])
    assert shown
    assert shown <= set(Classification.objects.filter(run=run).values_list("image_id", flat=True))


def test_what_later_pictures_do_not_show_was_none(version: ModelVersion) -> None:
    create_classified(version, number=200, seed=3, moved=0.5)
    check_drift()
    create_classified(version, number=200, seed=4)
    check_drift(pictures=200)

    assert list_states() == [("features", "closed")]


def test_a_person_acknowledges_and_closes_an_alarm() -> None:
    version, user = create_model_version(), create_member()
    alarm = create_alarm(create_drift_check(version))

    assert acknowledge_alarm(alarm.pk, user=user).acknowledged_by == user
    assert acknowledge_alarm(alarm.pk, user=user).state == "acknowledged"
    assert close_alarm(alarm.pk, user=user).closed_by == user
    with pytest.raises(AlarmStateError, match="is closed"):
        acknowledge_alarm(alarm.pk, user=user)
    suspected = create_alarm(create_drift_check(version), state="suspected")
    with pytest.raises(AlarmStateError, match=r"Expected an alarm that is alarm; alarm \d+ is suspected"):
        acknowledge_alarm(suspected.pk, user=user)
    with pytest.raises(IntegrityError), transaction.atomic():
        create_alarm(create_drift_check(version))


def test_another_version_in_production_ends_the_alarms_of_the_one_before() -> None:
    create_alarm(create_drift_check(create_model_version()))
    ModelVersion.objects.update(stage="retired")
    other = create_model_version()
    for seed in (1, 2, 3):
        create_classified(other, number=300, seed=seed)
    check_drift()

    assert list_states() == [("features", "closed")]


def test_the_reference_stays_that_of_the_first_check(version: ModelVersion) -> None:
    create_classified(version, number=200, seed=3)
    first = check_drift()
    create_classified(version, number=400, seed=4)
    second = check_drift()

    assert second.reference_until == first.reference_until
    assert second.window_pictures == 500
    assert second.window_until > first.window_until


def test_where_little_of_the_reference_is_left_it_is_made_of_what_is(version: ModelVersion) -> None:
    create_classified(version, number=450, seed=3)
    first = check_drift()
    create_classified(version, number=200, seed=4)
    Classification.objects.filter(pk__in=Classification.objects.order_by("pk").values("pk")[:401]).delete()
    second = check_drift()

    assert second.reference_until == first.window_until
    assert (second.reference_pictures, second.window_pictures) == (549, 200)


def test_pictures_without_features_are_no_side(version: ModelVersion, caplog: pytest.LogCaptureFixture) -> None:
    create_classified(version, number=520, seed=3)
    PictureFeatures.objects.all().delete()
    with pytest.raises(DriftInputError, match=r"expected pictures whose features .* stored, found none of 500"):
        check_drift()
    with caplog.at_level("INFO"):
        assert check_drift_when_due() is None
    assert "cannot be told" in caplog.text


def test_since_takes_what_was_labelled_since(version: ModelVersion) -> None:
    run = create_classified(version, number=200, seed=3)
    Classification.objects.filter(run=run).update(created_at=timezone.now() - timedelta(seconds=30))
    create_classified(version, number=150, seed=4)

    assert check_drift(since=timezone.now() - timedelta(seconds=20)).window_pictures == 150


def test_bad_input_is_an_error_and_writes_nothing(version: ModelVersion) -> None:
    def refuse(match: str, **options: object) -> None:
        with pytest.raises(DriftInputError, match=match):
            check_drift(**options)  # type: ignore[arg-type]

    refuse("after its reference, found none")
    run = create_classified(version, number=40, seed=3)
    refuse("at least 100 pictures in the window, received 40")
    refuse("a time that has come", since=timezone.now() + timedelta(days=1))
    Classification.objects.filter(run=run).update(created_at=timezone.now() + timedelta(hours=1))
    refuse("clocks disagree: the newest picture")
    Classification.objects.filter(run=run).update(created_at=timezone.now() - timedelta(days=1))
    refuse("clocks disagree: the window's first picture")
    Classification.objects.exclude(run=run).update(garment_probabilities=[0.91, *[0.01] * 9])
    create_classified(version, number=120, seed=4)
    refuse("a reference with things of two groups or more", pictures=120)
    assert not DriftCheck.objects.exists()
    assert not Alarm.objects.exists()


def test_a_reference_needs_runs_that_have_ended() -> None:
    with pytest.raises(NoActiveModelVersionError):
        check_drift()
    version = create_model_version()
    with pytest.raises(DriftInputError, match="found none"):
        check_drift()
    create_classified(version, number=300, seed=1)
    create_classified(version, number=300, seed=2, state="running")
    with pytest.raises(DriftInputError, match=r"400 pictures in ended labelling runs .* found 300"):
        check_drift()


def test_whole_runs_are_shuffled_where_both_sides_have_enough() -> None:
    version = create_model_version()
    for seed in range(10):
        create_classified(version, number=40, seed=seed, host=f"{seed}.example")
    for seed in range(8):
        create_classified(version, number=60, seed=20 + seed, host=f"{seed}.example")

    assert check_drift(pictures=480).permuted == "batches"


def test_light_failures_and_what_people_contradict_are_compared_as_well() -> None:
    version, reviewer = create_model_version(), create_member()
    before = create_classified(version, number=400, seed=1, light=0.5)
    after = create_classified(version, number=300, seed=2, light=1.5)

    def find_tests() -> dict[str, bool]:
        return {test["name"]: test["is_different"] for test in check_drift(pictures=300).tests}

    assert find_tests() == {"features": False, "statistics": True, "mix": False}
    for run, failed in ((before, 5), (after, 60)):
        images = list(Classification.objects.filter(run=run).order_by("pk")[:100])
        LabelTask.objects.bulk_create(
            LabelTask(image=said.image, model_version=version, run=run, state="failed" if place < failed else "done")
            for place, said in enumerate(images)
        )
        Review.objects.bulk_create(
            Review(
                image=said.image,
                group="" if place < failed else said.group,
                verdict="none_of_these" if place < failed else "group",
                reviewer=reviewer,
                blind=True,
            )
            for place, said in enumerate(images)
        )
    assert find_tests() == {
        "features": False,
        "statistics": True,
        "mix": False,
        "failures": True,
        "disagreement": True,
    }
