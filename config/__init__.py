"""The project's ground: settings, URLs, the Celery application, and what every feature needs.

For both apps; it imports neither: settings, URLs and the Celery application name them by string. `classifier.ml` may
import what knows no Django.
"""

#: The one place where it is written; `make release` asks for a heading of this name in CHANGELOG.md.
VERSION = "1.0.0-dev"
