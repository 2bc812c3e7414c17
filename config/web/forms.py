"""Forms over rows that others wrote too: a text that nobody changed stays as it is stored, and is nobody's mistake."""

from typing import Any

from django import forms
from django.forms.boundfield import BoundField


class PlainTextField(forms.CharField):
    """Text whose lines end in LF, as they do everywhere but in what a browser sends."""

    def to_python(self, value: Any) -> Any:
        """Return the text stripped, with LF at the end of each line."""
        return super().to_python(value.replace("\r\n", "\n").replace("\r", "\n") if isinstance(value, str) else value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Return whether somebody typed something: a browser alters line ends, and this field strips."""
        return bool(self.to_python(initial) != self.to_python(data))

    def _clean_bound_field(self, bound: BoundField) -> Any:
        is_kept = not self.has_changed(bound.initial, bound.data) and not (self.required and not bound.initial)
        return bound.initial if is_kept else self.clean(bound.data)


class KeepingForm(forms.ModelForm):
    """A form that does not judge what the row's texts were before."""

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        if self.instance.pk:
            excluded.update(
                name
                for name, field in self.fields.items()
                if isinstance(field, PlainTextField) and name not in self.changed_data
            )
        return excluded
