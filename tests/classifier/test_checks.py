"""The system checks of the settings."""

from classifier.checks import check_approvals, check_time_limits


def test_the_shipped_limits_are_in_order() -> None:
    assert check_time_limits() == []


def test_a_lease_shorter_than_the_hard_limit_is_an_error_that_names_the_values(settings) -> None:
    settings.LABELLING_LEASE_SECONDS = 70
    (error,) = check_time_limits()
    assert error.id == "classifier.E001"
    assert "LABELLING_HARD_LIMIT_SECONDS=75, LABELLING_LEASE_SECONDS=70" in error.msg


def test_redelivery_before_the_lease_ends_is_an_error(settings) -> None:
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 80}
    (error,) = check_time_limits()
    assert "visibility_timeout=80" in error.msg


def test_a_number_of_people_that_is_not_known_is_an_error(settings) -> None:
    assert check_approvals() == []
    settings.APPROVALS = "three"
    (error,) = check_approvals()
    assert error.id == "classifier.E002"
