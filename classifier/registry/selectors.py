"""Which model version is active."""

from classifier.models import ModelVersion


class NoActiveModelVersionError(Exception):
    """Raised where a model version is needed and none is active; the message names the command to run."""

    def __init__(self) -> None:
        super().__init__(
            "There is no model version in production. Run: manage.py register_model_version "
            "classifier/artefacts/default --activate"
        )


def find_active_model_version() -> ModelVersion | None:
    """Return the active model version, or None."""
    return ModelVersion.objects.filter(stage=ModelVersion.Stage.ACTIVE).first()


def get_active_model_version() -> ModelVersion:
    """Return the active model version; raise `NoActiveModelVersionError` if there is none."""
    version = find_active_model_version()
    if version is None:
        raise NoActiveModelVersionError
    return version
