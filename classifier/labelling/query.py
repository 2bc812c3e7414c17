"""Query parameters of the classifier's lists."""

from rest_framework import serializers

from classifier.labelling.selectors import ErrorCriteria
from classifier.models import LabelTask
from config.web.queries import PageQuery

# Larger numbers are no id of any table.
MAXIMUM_ID = 2**63 - 1
ERROR_STATES = [
    (state.value, str(state.label))
    for state in (LabelTask.State.RETRY, LabelTask.State.FAILED, LabelTask.State.IGNORED)
]


class ErrorListQuery(PageQuery):
    """The filters and the page of the error queue."""

    code = serializers.CharField(max_length=32, required=False, help_text="Why it failed, such as timeout.")
    state = serializers.ChoiceField(
        ERROR_STATES, required=False, help_text="retry: waits for its next try; failed: given up; ignored: by a person."
    )
    run = serializers.IntegerField(
        min_value=1, max_value=MAXIMUM_ID, required=False, help_text="The labelling run that tried."
    )
    model_version = serializers.IntegerField(
        min_value=1, max_value=MAXIMUM_ID, required=False, help_text="The model version that was to label."
    )
    image = serializers.IntegerField(min_value=1, max_value=MAXIMUM_ID, required=False, help_text="The image.")

    def get_criteria(self) -> ErrorCriteria:
        """Return the criteria of a valid query."""
        return ErrorCriteria(
            **{name: value for name, value in self.validated_data.items() if name not in PageQuery().fields}
        )
