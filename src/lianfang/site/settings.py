"""Settings of a node, from its environment. Everything has a default that works on one machine without a server.

| variable | meaning | default |
|---|---|---|
| ``LIANFANG_HOME`` | folder of the node: database, lake, spool, keys | ``./var`` |
| ``LIANFANG_DATABASE`` | ``sqlite:///path``, ``postgresql://…``, ``mysql://…`` | SQLite in the home |
| ``LIANFANG_ROOMS`` | profile: ``all`` or room names | ``all`` |
| ``LIANFANG_LAKE`` | where the event tables lie: a folder, or ``s3://bucket/prefix`` (``docs/scale.md``) | ``lake`` in the home |
| ``LIANFANG_INGEST`` | how many ingest processes ``lianfang up`` runs | ``1`` |
| ``LIANFANG_HOSTS`` | host names that the node answers to, by comma | localhost and this host |
| ``LIANFANG_URL`` | public address, when behind a proxy with TLS | none |
| ``LIANFANG_NODE`` | name of this node and of its root organisation | host name |
| ``LIANFANG_DEBUG`` | ``1`` shows tracebacks in the browser; never in production | ``0`` |
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lianfang.site import house

HOME = Path(os.environ.get("LIANFANG_HOME", "var")).absolute()
ROOMS = house.opened(os.environ.get("LIANFANG_ROOMS", "all"))
CONTENT = next(path for path in (Path(__file__).parents[3] / "content", Path(__file__).parents[1] / "content") if path.is_dir())


def _secret() -> str:
    """The node's own secret, made on first use and readable by its owner only."""
    path = HOME / "keys" / "django.secret"
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(secrets.token_urlsafe(48), "ascii")
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)  # the first process wins; the others read what it wrote
    draft.unlink()
    return path.read_text("ascii")


def _database(url: str) -> dict[str, object]:
    """A database address → Django's ``DATABASES`` entry."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path[1:]) or str(HOME / "node.sqlite3"),
            "CONN_MAX_AGE": 60,  # opening the file anew took a twentieth of every answer
            # IMMEDIATE: a transaction that will write waits for its turn at once, instead of failing half-way (SQLITE_BUSY_SNAPSHOT).
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA mmap_size=134217728; PRAGMA cache_size=-16000"},
        }
    common = {"NAME": parts.path[1:], "USER": unquote(parts.username or ""), "PASSWORD": unquote(parts.password or ""), "HOST": parts.hostname or "", "PORT": str(parts.port or ""), "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    if parts.scheme == "mysql":
        import pymysql

        pymysql.install_as_MySQLdb()
        return {"ENGINE": "django.db.backends.mysql", **common, "OPTIONS": {"charset": "utf8mb4", "isolation_level": "read committed"}}
    return {"ENGINE": "django.db.backends.postgresql", **common}


HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
SECRET_KEY = _secret()
NODE_NAME = os.environ.get("LIANFANG_NODE") or socket.gethostname()
DEBUG = os.environ.get("LIANFANG_DEBUG") == "1"
PUBLIC_URL = os.environ.get("LIANFANG_URL", "")
ALLOWED_HOSTS = [host for host in os.environ.get("LIANFANG_HOSTS", "").split(",") if host] or ["localhost", "127.0.0.1", "[::1]", socket.gethostname()]
WEBHOOKS = tuple(os.environ.get("LIANFANG_WEBHOOKS", "").split())
_smtp = urlsplit(os.environ.get("LIANFANG_SMTP", ""))
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend" if _smtp.hostname else "django.core.mail.backends.dummy.EmailBackend"
EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _smtp.hostname or "", _smtp.port or {"smtps": 465, "smtp+tls": 587}.get(_smtp.scheme, 25), unquote(_smtp.username or ""), unquote(_smtp.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS, EMAIL_TIMEOUT = _smtp.scheme == "smtps", _smtp.scheme == "smtp+tls", 15
DEFAULT_FROM_EMAIL = os.environ.get("LIANFANG_MAIL_FROM", f"lianfang@{socket.gethostname()}")
DATABASES = {"default": _database(os.environ.get("LIANFANG_DATABASE", "sqlite:///"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    *(house.package(room) for room in ROOMS),  # before allauth: our templates are found first
    *(["allauth", "allauth.account", "allauth.mfa"] if "people" in ROOMS else []),
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "lianfang.commons.frame.middleware.SafeHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    *(["allauth.account.middleware.AccountMiddleware", "lianfang.commons.people.middleware.ViewerMiddleware"] if "people" in ROOMS else []),
    "lianfang.commons.frame.middleware.SpokenErrors",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages", "lianfang.commons.frame.context.shell"]},
    }
]
ROOT_URLCONF = "lianfang.site.urls"
WSGI_APPLICATION = "lianfang.site.wsgi.application"

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", "简体中文"), ("en", "English")]
LOCALE_PATHS = [Path(__file__).parents[1] / "locale"]
USE_TZ = True
TIME_ZONE = os.environ.get("TZ", "Asia/Shanghai")
STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PUBLIC_URL.startswith("https://") else None
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
CSRF_FAILURE_VIEW = "lianfang.commons.frame.middleware.csrf_failed"
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 32 << 20

# Rate limits and nonces need one memory for all workers, so the cache lies in the database.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "node_cache"}}

AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
if "people" in ROOMS:
    from lianfang.commons.people.policy import *  # noqa: F403  (AUTH_USER_MODEL, password policy, allauth's settings: said where they belong)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname).1s %(name)s %(message)s", "datefmt": "%H:%M:%S"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["out"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}},
}
