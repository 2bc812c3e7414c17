"""The page of drift: the alarms that stand, the newest check test by test, and those before it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.views.decorators.http import require_http_methods, require_POST

from classifier.audit.selectors import list_answers
from classifier.audit.views import list_pictures
from classifier.ml.judging.drift import FEATURES, PICTURES, STATISTICS, DriftInputError
from classifier.ml.judging.shares import LEAST_COUNT
from classifier.ml.labels import GROUP_OF_GARMENT, GROUPS
from classifier.ml.words import percent, write_share
from classifier.models import Alarm, DriftCheck
from classifier.monitoring.follow_up import AlarmStateError, find_cooling_end, follow_up_alarm
from classifier.monitoring.segments import estimate_window
from classifier.monitoring.services import acknowledge_alarm, check_drift, close_alarm
from classifier.registry.selectors import NoActiveModelVersionError, find_active_model_version
from config.web.model_views import find_page
from config.web.permissions import get_member


@dataclass(frozen=True, slots=True)
class TestRow:
    """A test of a check in words."""

    words: str
    sentence: str
    chance: str
    effect: str


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """An alarm in words, with products that show what differs."""

    alarm: Alarm
    sentence: str
    difference: str
    doubt: str
    accuracy: str
    led_to: str
    pictures: list[Any]
    may_acknowledge: bool
    may_follow_up: bool


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@permission_required("classifier.view_driftcheck", raise_exception=True)
def drift(request: HttpRequest) -> HttpResponse:
    """Answer with alarms and checks; by POST check the newest pictures first."""
    problem, status = "", 200
    if request.method == "POST":
        if not request.user.has_perm("classifier.add_driftcheck"):
            refusal = {"status": 403, "title": "Forbidden", "detail": "You do not have permission to check for drift."}
            return render(request, "error.html", refusal, status=403)
        try:
            check_drift(user=get_member(request))
        except (DriftInputError, NoActiveModelVersionError) as error:
            problem, status = f"Nothing was checked: {str(error).removesuffix('.')}.", 409
        else:
            return redirect("drift")
    page = find_page(request, DriftCheck.objects.select_related("model_version"))
    latest = DriftCheck.objects.filter(model_version=find_active_model_version()).first()
    alarms = Alarm.objects.exclude(state=Alarm.State.CLOSED).select_related(
        "last_check", "model_version", "audit", "training_run"
    )
    context = {
        "problem": problem,
        "latest": latest,
        "sentence": describe_check(latest) if latest else "",
        "tests": list_tests(latest) if latest else [],
        "mix": list_mix(latest) if latest else [],
        "alarms": [_build_row(alarm) for alarm in alarms],
        "page": page,
        "checks": [(check, describe_check(check)) for check in page.rows],
    }
    return render(request, "classifier/drift.html", context, status=status)


@require_POST
@login_required
@permission_required("classifier.change_alarm", raise_exception=True)
def alarm_acknowledge(request: HttpRequest, pk: int) -> HttpResponse:
    """Acknowledge an alarm, and answer with the way to the page; one that cannot be is a message there."""
    try:
        acknowledge_alarm(get_object_or_404(Alarm, pk=pk).pk, user=get_member(request))
    except AlarmStateError as error:
        messages.info(request, str(error))
    return redirect("drift")


@require_POST
@login_required
@permission_required("classifier.change_alarm", raise_exception=True)
def alarm_follow_up(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask people about what an alarm is about, and answer with the way to the page."""
    try:
        follow_up_alarm(get_object_or_404(Alarm, pk=pk).pk)
    except AlarmStateError as error:
        messages.info(request, str(error))
    return redirect("drift")


@require_POST
@login_required
@permission_required("classifier.change_alarm", raise_exception=True)
def alarm_close(request: HttpRequest, pk: int) -> HttpResponse:
    """Close an alarm, and answer with the way to the page."""
    close_alarm(get_object_or_404(Alarm, pk=pk).pk, user=get_member(request))
    return redirect("drift")


def describe_check(check: DriftCheck) -> str:
    """Return what a check says, of how many pictures, and how often such a check is wrong."""
    return f"{describe_difference(check)} {describe_doubt(check)}"


def describe_difference(check: DriftCheck) -> str:
    """Return whether the pictures of a check differ, in what, and which part of them makes it so."""
    compared = f"{check.window_pictures:,} pictures beside {check.reference_pictures:,} of the reference"
    if not check.is_different:
        return f"No difference: {compared}."
    what = "another mix of the same things" if check.findings["another_mix"] else "other pictures"
    words = f"Different, which is not worse: {what}, {compared}."
    if driver := check.findings["driver"]:
        pictures, difference = (percent(driver[f"share_of_{of}"], digits=0) for of in ("pictures", "difference"))
        name = driver["name"][0].upper() + driver["name"][1:]
        words += f" {name} has {pictures} of the pictures and makes {difference} of the difference."
    return words


def describe_doubt(check: DriftCheck) -> str:
    """Return how often the tests of a check say *different* of what does not differ, as it was measured on them."""
    shuffled = "" if check.permuted == PICTURES else f"whole {check.permuted} of "
    rate = percent(check.false_alarm_rate)
    return f"Of windows mixed at random from {shuffled}both sides these tests take {rate} for different."


def list_tests(check: DriftCheck) -> list[TestRow]:
    """Return the tests of a check in words, those of the whole window first."""
    labels = dict(Alarm.Signal.choices)
    return [
        TestRow(
            words=f"{labels[test['name']]}{': ' + test['segment'] if test['segment'] else ''}",
            sentence="Different" if test["is_different"] else "No difference",
            chance=f"{test['adjusted']:.3f}",
            effect=_write_effect(test),
        )
        for test in check.tests
    ]


def list_mix(check: DriftCheck) -> list[tuple[str, str, str]]:
    """Return for each group its share of the reference and of the window, as far as the version can tell."""
    reference, window = (_sum_groups(check.findings[f"{side}_mix"]) for side in ("reference", "window"))
    return [(group, percent(reference[group]), percent(window[group])) for group in GROUPS]


def _sum_groups(mix: dict[str, float]) -> dict[str, float]:
    return {group: sum(share for name, share in mix.items() if GROUP_OF_GARMENT[name] == group) for group in GROUPS}


def _build_row(alarm: Alarm) -> AlarmRow:
    where = f", in {alarm.segment}" if alarm.segment else ""
    since = {
        Alarm.State.SUSPECTED: "Suspected: one check says so",
        Alarm.State.ALARM: "Two checks in a row say so",
        Alarm.State.ACKNOWLEDGED: "Acknowledged",
    }[Alarm.State(alarm.state)]
    return AlarmRow(
        alarm=alarm,
        sentence=f"{since}{where}.",
        difference=describe_difference(alarm.last_check),
        doubt=describe_doubt(alarm.last_check),
        accuracy=describe_accuracy(alarm),
        led_to=describe_follow_up(alarm),
        pictures=list_pictures(alarm.last_check.findings["images"]),
        may_acknowledge=alarm.state == Alarm.State.ALARM,
        may_follow_up=_may_follow_up(alarm),
    )


def describe_accuracy(alarm: Alarm) -> str:
    """Return how much of what the version says of an alarm's newest window is right, as far as people's answers tell.

    Of its segment, once people are asked about that.
    """
    share = estimate_window(alarm.last_check, asked=alarm.audit)
    where = "" if alarm.audit is None else f" of {alarm.audit.segment}"
    if share.value is None:
        return (
            f"No evidence yet of how many are right: people answered for {share.count:,} of these pictures{where}, and "
            f"it takes {LEAST_COUNT}."
        )
    right = write_share(share.to_json())
    return (
        f"{right} of these pictures{where} are labelled right, by {share.count:,} answers and the model's confidence."
    )


def describe_follow_up(alarm: Alarm) -> str:
    """Return what an alarm has led to; empty while it is only suspected."""
    if alarm.audit is not None:
        drawn = alarm.audit.samples.count()
        answered = list_answers(alarm.audit).values("image").distinct().count()
        return f"People are asked about {drawn:,} products of {alarm.audit.segment}, and answered for {answered:,}."
    if alarm.signal == Alarm.Signal.FAILURES and alarm.state != Alarm.State.SUSPECTED:
        return "Nobody can say what failed pictures show: the error queue has them."
    if not _may_follow_up(alarm):
        return ""
    end = find_cooling_end(alarm.model_version_id)
    if end is None:
        return "There was nothing to ask people about."
    return (
        f"Another alarm opened an audit and a training of late; this one opens its own with a check after "
        f"{date_format(localtime(end), 'j M Y')}, or when somebody asks for it."
    )


def _may_follow_up(alarm: Alarm) -> bool:
    is_confirmed = alarm.state in (Alarm.State.ALARM, Alarm.State.ACKNOWLEDGED)
    return is_confirmed and alarm.audit is None and alarm.signal != Alarm.Signal.FAILURES


def _write_effect(test: dict[str, Any]) -> str:
    if test["name"] in (FEATURES, STATISTICS):
        return f"{test['effect']:.2f} standard deviations"
    return f"{100 * test['effect']:.1f} points"
