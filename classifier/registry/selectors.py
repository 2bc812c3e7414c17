"""Which model version is in production."""

from classifier.models import ModelVersion


class NoActiveModelVersionError(Exception):
    """Raised where a model version is needed and none is in production; the message names the command to run."""

    def __init__(self) -> None:
        super().__init__(
            "There is no model version in production. Run: manage.py register_model_version "
            "classifier/artefacts/default --activate"
        )


def find_active_model_version() -> ModelVersion | None:
    """Return the model version in production, or None."""
    return ModelVersion.objects.filter(stage=ModelVersion.Stage.PRODUCTION).first()


def get_active_model_version() -> ModelVersion:
    """Return the model version in production; raise `NoActiveModelVersionError` if there is none."""
    version = find_active_model_version()
    if version is None:
        raise NoActiveModelVersionError
    return version
