"""The storage of a study, opened: SQLite, Optuna's journal, or PostgreSQL."""

import mmap
import os
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from suite.storage_url import check_storage, without_secrets

Storage = BaseStorage  # for those who need not know whose it is

_JOURNAL = b'{"op_code":'
_CONNECT_S = 10  # a server that does not answer by then is down

# What a storage raises when it cannot write or read: a server that went away, a disk that is full.
STORAGE_ERRORS = (SQLAlchemyError, optuna.exceptions.StorageInternalError)


class StorageDown(RuntimeError):
    """The server of a study does not answer."""


def open_storage(url: str, folder: Path) -> BaseStorage:
    """The storage at a URL; a file that is absent is made.

    Args:
        url: see `suite.storage_url`.
        folder: the run folder.

    Raises:
        ValueError: the URL is wrong, or something else is there.
        StorageDown: the server does not answer.
    """
    check_storage(url)
    kind, _, rest = url.partition("://")
    if kind == "journal":
        return _open_journal(folder / rest[1:])
    if kind.startswith("sqlite"):
        database, options = f"sqlite:///{folder / rest[1:]}", {"timeout": 60}
    else:
        database = make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        options = {"connect_timeout": _CONNECT_S}
    try:
        # A connection is tried before it is used: a server that was started again goes on being used.
        return RDBStorage(database, engine_kwargs={"connect_args": options, "pool_pre_ping": True})
    except OperationalError as error:
        if kind.startswith("postgresql"):
            raise StorageDown(f"--storage {without_secrets(url)}: {_line(error)}") from error
        raise _wrong(folder / rest[1:], error) from error
    except (SQLAlchemyError, RuntimeError) as error:
        where = folder / rest[1:] if kind.startswith("sqlite") else without_secrets(url)
        raise _wrong(where, error) from error


def has_study(storage: BaseStorage, name: str) -> bool:
    """Whether there is a study of this name."""
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def _open_journal(path: Path) -> JournalStorage:
    if path.exists():
        _drop_broken_line(path)
    try:
        return JournalStorage(JournalFileBackend(str(path)))
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(path, error) from error


def _drop_broken_line(path: Path) -> None:
    """Remove a last line that broke off; with another one after it Optuna could not read the file at all."""
    if not _breaks_off(path):
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        if _breaks_off(path):  # and is not just being written
            with path.open("r+b") as file:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
                    whole = text.rfind(b"\n") + 1
                file.truncate(whole)
    finally:
        lock.release()


def _breaks_off(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.read(len(_JOURNAL)).startswith(_JOURNAL):
            return False  # another file, which is not ours to change
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _wrong(where: object, error: Exception) -> ValueError:
    return ValueError(f"{where}: expected an Optuna study database, got another file ({_line(error)})")


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
