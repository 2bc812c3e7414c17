"""Tokens of programs."""

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class TokenManager(models.Manager["Token"]):
    """Tokens with the time at which they were read, by the database's clock."""

    def get_queryset(self) -> models.QuerySet["Token"]:
        """Return all tokens."""
        # The plugin of mypy takes the name for one declared twice: it stands on the class for whoever reads it.
        return super().get_queryset().annotate(read_at=Now())  # type: ignore[no-redef]


class Token(models.Model):
    """What a program signs in by, with what the user may do. Its key is shown once, and only the hash of it is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    # A key is random and long: unlike a password's, its hash need not be slow.
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty for one from before tokens expired.")
    last_used_on = models.DateField(null=True, blank=True)

    objects = TokenManager()
    read_at: datetime

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "delete")
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="token_name_of_user")]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

    @property
    def is_expired(self) -> bool:
        """Whether its time was over when it was read."""
        return self.expires_at is not None and self.expires_at <= self.read_at

    @property
    def end(self) -> str:
        """When it expires, in words."""
        if self.expires_at is None:
            return "never"
        return f"{self.expires_at:%-d %b %Y}{', expired' if self.is_expired else ''}"
