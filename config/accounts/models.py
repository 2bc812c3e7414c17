"""Tokens of programs."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class Token(models.Model):
    """What a program signs in by, with what the user may do. Its key is shown once, and only the hash of it is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    # A key is random and long: unlike a password's, its hash need not be slow.
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="Empty for one from before tokens expired.")
    last_used_on = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view", "delete")
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="token_name_of_user")]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"

    @property
    def is_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def end(self) -> str:
        """When it expires, in words."""
        if self.expires_at is None:
            return "never"
        return f"{self.expires_at:%-d %b %Y}{', expired' if self.is_expired else ''}"
