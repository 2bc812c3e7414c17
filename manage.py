#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    """Run the management command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
    if sys.argv[1:] in (["version"], ["--version"]):  # Django would say its own alone
        import django

        from config import VERSION

        sys.stdout.write(f"{VERSION} (Django {django.get_version()})\n")
        return
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from config.packages import DRAWS_PLOTS, describe_missing

    # Whoever closed these wants to read nothing.
    sys.stdout = sys.stdout or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    sys.stderr = sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        sys.exit(describe_missing(DRAWS_PLOTS))


if __name__ == "__main__":
    main()
