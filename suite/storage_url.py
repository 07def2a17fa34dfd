"""Where the study of an experiment lies, by URL: SQLite, Optuna's journal, or PostgreSQL.

| URL | what it is |
|---|---|
| `sqlite:///study.db` | a database file; a relative path is one in the run folder |
| `journal:///study.log` | a file that is only ever appended to, likewise |
| `postgresql://user@host/database` | a server; the password comes from PGPASSWORD or ~/.pgpass |
"""

from importlib.util import find_spec
from urllib.parse import urlsplit

DEFAULT = "sqlite:///study.db"
_FORMS = "sqlite:///FILE, journal:///FILE or postgresql://USER@HOST/DATABASE"


def check_storage(url: str) -> None:
    """Check the form of a storage URL.

    Raises:
        ValueError: it has another form, or PostgreSQL's driver is not installed.
    """
    kind, _, rest = url.partition("://")
    if kind in ("sqlite", "journal") and rest.startswith("/") and len(rest) > 1:
        return
    parts = urlsplit(url)
    if kind not in ("postgresql", "postgresql+psycopg") or not parts.hostname or len(parts.path) < 2:
        raise ValueError(f"--storage: expected {_FORMS}, got {without_secrets(url)!r}")
    if find_spec("psycopg") is None:
        raise ValueError(
            "--storage: PostgreSQL needs a driver: pip install 'crystalformer-suite[postgresql]'"
        )


def without_secrets(url: str) -> str:
    """A URL as it may be shown and recorded: without password and options."""
    start, separator, rest = url.partition("://")
    head, _, options = rest.partition("?")
    if "@" in options:  # or is it a password with both signs in it?
        return f"{start}{separator}***"
    user, at, place = head.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{start}{separator}{name}{':***' if colon else ''}{at}{place}"
