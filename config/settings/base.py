"""Settings for every environment; environment variables decide what differs.

With nothing set the project runs embedded: SQLite in WAL mode and Celery's file-system broker under ``var/``, DEBUG
off, a secret key generated once, loopback hosts only. ``DATABASE_URL`` and ``REDIS_URL`` switch to PostgreSQL and
Redis.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import global_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from config import VERSION
from config.embedded import file_broker_options, read_or_create_secret_key
from config.environment import Environment
from config.logs import build_logging
from config.redis_urls import parse_redis_url

BASE_DIR = Path(__file__).resolve().parent.parent.parent
env = Environment()

# Everything the running product writes lies below this folder: database, broker, media, artefacts, the secret key.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or read_or_create_secret_key(
    VAR_DIR / "secret_key", create=get_random_secret_key
)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "config.accounts.apps.AccountsConfig",
    "catalog.apps.CatalogConfig",
    "classifier.apps.ClassifierConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "axes",
]

MIDDLEWARE = [
    "config.web.access_log.AccessLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.web.security.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.web.compression.TextCompressionMiddleware",
    "config.web.bodies.BodyLimitMiddleware",
    "config.web.guesses.GuessLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.web.addresses.AddressMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "classifier.reviews.context_processors.add_reviews_waiting",
            ],
        },
    },
]

# --- database -------------------------------------------------------------------------------------------------------

database_url = env.str("DATABASE_URL", default="")
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url_config(database_url)
    if database_url
    # As it is: a URL would take a part of a folder's name for something else.
    else {"ENGINE": "django.db.backends.sqlite3", "NAME": str(VAR_DIR / "db.sqlite3")}
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE takes the write lock at BEGIN, so that two writers wait for each other instead of failing half-way with
    # "database is locked"; WAL lets pages be read while a worker writes.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON",
    }
else:
    DATABASES["default"].update(CONN_MAX_AGE=60, CONN_HEALTH_CHECKS=True)
    options = DATABASES["default"].setdefault("OPTIONS", {})
    options.setdefault("connect_timeout", 3)
    # A machine that vanishes says no goodbye: without these a connection to it is waited for a quarter of an hour.
    for name, value in {
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }.items():
        options.setdefault(name, value)
    if env.bool("DATABASE_POOLER", default=False):
        # Between two transactions a connection is somebody else's, and what it starts with is the pooler's to say.
        DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
    else:
        # Nobody waits for a lock for long, and a process that stops in the middle of a transaction loses its locks.
        options.setdefault("options", "-c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000")
# A copy of it that answers lists of readers who are not signed in, while it is no further behind than this.
REPLICA_LAG_SECONDS = env.float("REPLICA_LAG_SECONDS", default=5.0)
if DATABASE_REPLICA_URL := env.str("DATABASE_REPLICA_URL", default=""):
    DATABASES["replica"] = DATABASES["default"] | env.db_url_config(DATABASE_REPLICA_URL)
    DATABASES["replica"]["TEST"] = {"MIRROR": "default"}
    own = env.db_url_config(DATABASE_REPLICA_URL).get("OPTIONS", {})
    DATABASES["replica"]["OPTIONS"] = DATABASES["default"]["OPTIONS"] | own
    if "sqlite" in DATABASES["default"]["ENGINE"] + DATABASES["replica"]["ENGINE"]:
        raise ImproperlyConfigured("DATABASE_REPLICA_URL: expected a copy of a PostgreSQL that DATABASE_URL names")
# After which PostgreSQL ends a statement of the site (`config.db.statements`); workers and commands have no limit.
WEB_STATEMENT_SECONDS = env.float("WEB_STATEMENT_SECONDS", default=2.0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    *(
        {"NAME": f"django.contrib.auth.password_validation.{name}"}
        for name in (
            "UserAttributeSimilarityValidator",
            "MinimumLengthValidator",
            "CommonPasswordValidator",
            "NumericPasswordValidator",
        )
    ),
    {"NAME": "config.accounts.authentication.TokensEndWithPassword"},
]
PASSWORD_HASHERS = ["config.hashers.PatientHasher", *global_settings.PASSWORD_HASHERS[1:]]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "start"
# The first asks whether the name is locked for this address, and signs nobody in.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
# Who goes on guessing while the name is locked writes nothing.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_CLIENT_IP_CALLABLE = "config.web.access_log.find_address"
AXES_LOCKOUT_CALLABLE = "config.web.guesses.answer_locked_out"
# Of one address, right or wrong; and how many a process of the site looks at together, half of Gunicorn's threads.
PASSWORDS_PER_MINUTE = env.int("PASSWORDS_PER_MINUTE", default=30)
PASSWORD_CHECKS_AT_ONCE = 2
WRONG_TOKENS_PER_MINUTE = env.int("WRONG_TOKENS_PER_MINUTE", default=60)

TIME_ZONE = "UTC"

# --- files ----------------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)  # Whitenoise warns about a missing folder.
# Whitenoise serves the apps' own static folders directly, so that nothing has to be collected before the first start.
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(VAR_DIR / "media")))
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": env.str("DEFAULT_FILE_STORAGE", default="django.core.files.storage.FileSystemStorage")},
    # Where pictures by group are kept up to date.
    "outputs": {
        "BACKEND": env.str("OUTPUT_FILE_STORAGE", default="django.core.files.storage.FileSystemStorage"),
        "OPTIONS": env.json("OUTPUT_STORAGE_OPTIONS", default={"location": str(VAR_DIR / "outputs")}),
    },
    # Files of the page Import, until they are imported.
    "imports": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": str(VAR_DIR / "imports"),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# A bucket in place of these folders, for machines that share no disk.
STORAGE_URL = env.str("STORAGE_URL", default="")
if STORAGE_URL:
    from config.bucket import build_bucket_storages

    STORAGES |= build_bucket_storages(
        STORAGE_URL, also_set=[name for name in ("DEFAULT_FILE_STORAGE", "OUTPUT_FILE_STORAGE") if env.str(name, "")]
    )
# Trained and registered artefacts; each version is a folder of its own that never changes. With a bucket, copies of
# those that this machine needed.
ARTEFACTS_DIR = Path(env.str("ARTEFACTS_DIR", default=str(VAR_DIR / "artefacts")))
# `explore_dataset` writes into the first folder. The page Data shows the first exploration that is there, and the last
# comes with the product.
EXPLORATION_DIRS = [VAR_DIR / "exploration", BASE_DIR / "classifier/artefacts/reports/exploration"]
# What `report_experiments` measured: part of the product, so that a fresh copy shows it.
EXPERIMENTS_DIR = BASE_DIR / "classifier/artefacts/reports/experiments"
# What `evaluate_classifier --catalogue` measured here.
EVALUATIONS_DIR = VAR_DIR / "evaluations"
# How old the features may be in which similar products are searched.
SIMILAR_REFRESH_SECONDS = env.float("SIMILAR_REFRESH_SECONDS", default=10.0)
ARTEFACT_KEY = env.str("ARTEFACT_KEY", default="")
ARTEFACT_KEY_FALLBACKS = env.list("ARTEFACT_KEY_FALLBACKS", default=[])
BACKBONE_WEIGHTS = env.str("BACKBONE_WEIGHTS", default="")
# Every so many hours workers bring the pictures by group up to date; 0: when they are asked.
OUTPUT_EVERY_HOURS = env.float("OUTPUT_EVERY_HOURS", default=0.0)
# After so many days in production the start page asks to look at a version again.
VERSION_REVIEW_DAYS = env.int("VERSION_REVIEW_DAYS", default=180)
# After so many days an alarm of drift may open an audit and a training again by itself.
DRIFT_COOLDOWN_DAYS = env.int("DRIFT_COOLDOWN_DAYS", default=7)
# Whether a version whose labels are not as its impact promised is gone back from, without a person.
WATCH_ROLLS_BACK = env.bool("WATCH_ROLLS_BACK", default=False)
# How many people bring a version into production: one, or one who asks and another who approves.
APPROVALS = env.str("APPROVALS", default="") or ("two" if database_url else "one")

# --- fetching of pictures -------------------------------------------------------------------------------------------

FETCH_ALLOWED_NETWORKS = env.list("FETCH_ALLOWED_NETWORKS", default=[])
FETCH_ALLOWED_PORTS = [int(port) for port in env.list("FETCH_ALLOWED_PORTS", default=["80", "443"])]
# JSON, as `catalog.fetching.host_settings` reads it.
FETCH_HOST_HEADERS = env.str("FETCH_HOST_HEADERS", default="")
# JSON, as `catalog.fetching.host_settings` reads it.
FETCH_HOST_RATES = env.str("FETCH_HOST_RATES", default="")
FETCH_REQUESTS_PER_SECOND_PER_HOST = env.float("FETCH_REQUESTS_PER_SECOND_PER_HOST", default=10.0)

# --- labelling ledger -----------------------------------------------------------------------------------------------

# soft limit < hard limit < lease < visibility timeout: a task is ended before its lease can expire, and the lease
# expires before the broker would deliver the message again.
LABELLING_BATCH_SIZE = 32
# Not Celery's settings of the same kind: those would end a training too.
LABELLING_SOFT_LIMIT_SECONDS = env.int("LABELLING_SOFT_LIMIT_SECONDS", default=60)
LABELLING_HARD_LIMIT_SECONDS = env.int("LABELLING_HARD_LIMIT_SECONDS", default=75)
LABELLING_LEASE_SECONDS = env.int("LABELLING_LEASE_SECONDS", default=90)
# While others lie on the queue, a message not taken up after this time counts as lost and is sent again (a second one
# finds nothing to claim); when the queue is empty, after one sweep.
LABELLING_RESEND_SECONDS = env.float("LABELLING_RESEND_SECONDS", default=30.0)
# Batches on the queue at most: a short queue makes a lost broker cheap, and lets a new run's work be seen early.
LABELLING_QUEUE_BATCHES = env.int("LABELLING_QUEUE_BATCHES", default=16)
LABELLING_SWEEP_SECONDS = env.float("LABELLING_SWEEP_SECONDS", default=5.0)
# How long a worker with a batch in hand waits for a database that went away; then the lease runs out.
LABELLING_RECONNECT_SECONDS = env.float("LABELLING_RECONNECT_SECONDS", default=30.0)
TRAINING_HEARTBEAT_SECONDS = env.int("TRAINING_HEARTBEAT_SECONDS", default=120)
# A training process that lives and reports nothing for so long is given up all the same.
TRAINING_SILENCE_SECONDS = env.int("TRAINING_SILENCE_SECONDS", default=3600)
# A worker sends a message through each of its own queues this often; a queue through which none came back for the
# second time is one whose workers are gone or hear nothing.
CANARY_SECONDS = env.float("CANARY_SECONDS", default=30.0)
CANARY_STALE_SECONDS = env.float("CANARY_STALE_SECONDS", default=120.0)

# --- cleaning -------------------------------------------------------------------------------------------------------

# How often workers remove what nothing shows, 0 for never, and for how long nothing must have shown it.
CLEAN_EVERY_HOURS = env.float("CLEAN_EVERY_HOURS", default=24.0)
CLEAN_OLDER_THAN_DAYS = env.float("CLEAN_OLDER_THAN_DAYS", default=30.0)

# --- broker and workers ---------------------------------------------------------------------------------------------

REDIS_URL, CELERY_BROKER_URL = "", "filesystem://localhost"
if env.str("REDIS_URL", default=""):
    REDIS_URL, CELERY_BROKER_URL = parse_redis_url(env.str("REDIS_URL"))
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "visibility_timeout": env.int("BROKER_VISIBILITY_SECONDS", default=240),
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # A worker killed while it restores messages leaves this lock behind; for 300 s by default, without redelivery.
        "unacked_mutex_expire": 10,
        # A broker that is away costs a request a moment: the row is written, and the sweep sends it later.
        "socket_connect_timeout": 1,
        "max_retries": 1,
        "interval_start": 0,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    if REDIS_URL
    else file_broker_options(VAR_DIR / "broker")
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis that refuses to write (a replica after a fail-over, a full one) is waited for like one that is away.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_WORKER_CONSUMER = "config.consumer:SteadyConsumer"
CELERY_TASK_DEFAULT_QUEUE = "labelling"
# Whose workers do what is no picture: runs of reviews, adoptions, impacts, outputs, rounds of cleaning.
STEPS_QUEUE = env.str("STEPS_QUEUE", default="labelling")
if STEPS_QUEUE == "training":
    raise ImproperlyConfigured("STEPS_QUEUE: expected labelling or a queue of its own, received that of trainings")
CELERY_TASK_QUEUES: dict[str, dict[str, Any]] = {"labelling": {}, STEPS_QUEUE: {}, "training": {}}
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {
    "classifier.tasks.label_batch_task": {"queue": "labelling"},
    "classifier.tasks.take_pictures_task": {"queue": "labelling"},
    "classifier.tasks.record_reviews_task": {"queue": STEPS_QUEUE},
    "classifier.tasks.adopt_task": {"queue": STEPS_QUEUE},
    "classifier.tasks.impact_task": {"queue": STEPS_QUEUE},
    "classifier.tasks.clean_task": {"queue": STEPS_QUEUE},
    "classifier.tasks.output_task": {"queue": STEPS_QUEUE},
    "classifier.tasks.train_task": {"queue": "training"},
}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
# Safe only because the ledger counts a picture's crashes.
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# The outcome stands in the database.
CELERY_TASK_ACKS_ON_FAILURE = True
CELERY_TASK_ACKS_ON_TIMEOUT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 200
# Kilobytes; looked at after each task, so that a child that grew is replaced.
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 1_000_000
# Seconds that a dead child's result is waited for before its batch goes back.
CELERY_WORKER_LOST_WAIT = env.float("WORKER_LOST_WAIT_SECONDS", default=2.0)
# How long a worker that is stopped by SIGQUIT may go on with what it has in hand (`classifier.worker.stopping`).
WORKER_SOFT_SHUTDOWN_SECONDS = env.float("WORKER_SOFT_SHUTDOWN_SECONDS", default=30.0)
# A file that a worker touches while it lives; none if empty (`classifier.worker.timers`).
WORKER_ALIVE_FILE = env.str("WORKER_ALIVE_FILE", default="")
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# Counts of calls and of a run's tasks. Beside the broker in one Redis, under keys of its own; in memory without one.
if REDIS_URL:
    CACHES = {
        "default": {"BACKEND": "config.caches.SharedCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "catalogue-cache"}
    }

# --- REST -----------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    # The first one decides what a refusal looks like: a token's is a 401 with its challenge.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.accounts.authentication.HashedTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticatedOrReadOnly"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.web.parsing.BoundedJSONParser"],
    # Only the header Accept says what an answer is written in.
    "URL_FORMAT_OVERRIDE": None,
    # Requests of one user, over all processes of the site with Redis and by each process for itself without.
    "DEFAULT_THROTTLE_RATES": {
        "classify": "120/min",
        "explanations": "60/min",
        "pictures": "120/min",
        "runs": "120/min",
        "writes": "600/min",
    },
    # Proxies in front whose X-Forwarded-For is true; 0: none, and the header is ignored.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.web.problems.problem_exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Fashion catalogue",
    "DESCRIPTION": "Products, their pictures and the labels that the classifier and people gave them.",
    "VERSION": VERSION,
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # Requests have components of their own: a file is bytes in one and an address in the other, and what only the
    # site writes is in neither request nor its list of required fields.
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.web.schema.complete_schema",
    ],
    # Names that generated clients may rely on, whatever else comes to have a field of the same name.
    "ENUM_NAME_OVERRIDES": {
        "GroupEnum": "classifier.ml.labels.GROUPS",
        "GarmentEnum": "classifier.ml.labels.GARMENTS",
        "StatusEnum": "catalog.models.ProductLabel.Status",
        "SourceEnum": "catalog.models.ProductLabel.Source",
        "StageEnum": "classifier.models.ModelVersion.Stage",
        "ErrorStateEnum": "classifier.models.LabelTask.State",
        "RunStateEnum": "classifier.models.RunState",
        "QueueNameEnum": "classifier.models.QueueName",
        "VerdictEnum": "classifier.models.Verdict",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Offline: no badge from the validator on the internet.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

# --- security -------------------------------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
# A product has up to 1,000 images with four fields each, and texts in all countries.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 6_000
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Behind TLS set HTTPS=1: cookies become secure, plain http is redirected, browsers are told to stay on https.
HTTPS = env.bool("HTTPS", default=False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz/"]  # whoever asks whether we live asks from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = build_logging(form=env.str("LOG_FORMAT", default="line"), level=env.str("LOG_LEVEL", default="INFO"))
