"""Write a file as a whole or not at all, and read a zip without trusting a byte of it."""

from __future__ import annotations

import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO

#: A member may be this many times as large as its compressed bytes; numbers and JSON stay far below it.
MAX_RATIO = 100
#: Below this size a member may compress as well as it likes.
SMALL = 1 << 20

_MAX_MEMBERS = 64
_MAX_DIRECTORY = 1 << 16
_CHUNK = 1 << 20
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_SIZE = 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)


class ModelFileError(ValueError):
    """A file is not one that fastann wrote, or it was damaged or changed since."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a new file to write to, and put it in the place of `path` once the block has ended well.

    The new file lies beside `path`, so the move is one rename: a reader sees the old file or the new one, and a crash
    or an error in the block leaves the old one as it was. Data and rename are flushed to the disk. A symbolic link
    is followed, not replaced.

    Raises:
        IsADirectoryError: `path` is a folder.
        FileNotFoundError: the folder of `path` does not exist.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"expected the name of a file to write, got the folder {str(path)!r}.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {str(path)!r}: the folder {str(target.parent)!r} does not exist.")
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, on systems that can open a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_archive(path: str | os.PathLike[str], members: Mapping[str, bytes]) -> None:
    """Write `members` as a zip at `path`, all or nothing; the same members give the same bytes.

    Members are stored, not deflated: trained weights do not compress, and a stored member can be read by offset.
    """
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)


class Archive:
    """A zip opened for reading, with every claim checked before memory is set aside for it.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ModelFileError: it is not a zip, is cut short, or holds other members than `required` and, at most, `optional`.
    """

    def __init__(self, path: str | os.PathLike[str], required: Collection[str], optional: Collection[str] = ()) -> None:
        self.path = os.fspath(path)
        self._file = open_regular(path)
        try:
            self._size = os.fstat(self._file.fileno()).st_size
            _check_directory(self._file, self._size, self.path)
            with self._damage("its table of contents cannot be read"):
                self._zip = zipfile.ZipFile(self._file)
            self._check_names(required, optional)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def claimed_size(self, name: str) -> int:
        """Return how many bytes member `name` says it has; `read` makes sure that it does."""
        return self._zip.NameToInfo[name].file_size

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of member `name`, at most `limit`, after checking them against their CRC-32.

        Raises:
            ModelFileError: the member is larger than `limit` or than its compressed bytes allow, damaged or encrypted.
        """
        info = self._zip.NameToInfo[name]
        self._check_claims(info, limit)
        data = bytearray()
        with self._damage(f"{name} is damaged or cut short"), self._zip.open(info) as member:
            while chunk := member.read(_CHUNK):
                data += chunk
                if len(data) > info.file_size:
                    break
        if len(data) != info.file_size:
            self._refuse(f"{name} is damaged: expected {info.file_size:,} bytes, got {len(data):,}")
        return bytes(data)

    def _check_names(self, required: Collection[str], optional: Collection[str]) -> None:
        names = [info.orig_filename for info in self._zip.infolist()]
        for name in names:
            if name not in required and name not in optional:
                self._refuse(f"it holds an unexpected member {shorten(name)}")
            if names.count(name) > 1:
                self._refuse(f"it holds {name} more than once")
        for name in required:
            if name not in names:
                self._refuse(f"it lacks the member {name}")

    def _check_claims(self, info: zipfile.ZipInfo, limit: int) -> None:
        name = info.filename
        if info.flag_bits & _ENCRYPTED:
            self._refuse(f"{name} is encrypted")
        if info.compress_type not in _METHODS:
            self._refuse(f"{name} is compressed by method {info.compress_type}; expected stored or deflated")
        if info.file_size > limit:
            self._refuse(f"{name} claims {info.file_size:,} bytes, at most {limit:,} were expected")
        if info.compress_size > self._size:
            self._refuse(f"{name} claims more bytes than the file has: it was cut short")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            self._refuse(f"the sizes given for {name} contradict each other")
        if info.file_size > max(SMALL, MAX_RATIO * info.compress_size):
            self._refuse(f"{name} claims {info.file_size:,} bytes from {info.compress_size:,} compressed ones")

    @contextmanager
    def _damage(self, what: str) -> Iterator[None]:
        try:
            yield
        except _DAMAGE as error:
            raise ModelFileError(f"{self.path!r} cannot be read: {what} ({cleaned(error)}).") from error

    def _refuse(self, reason: str) -> None:
        raise ModelFileError(f"{self.path!r} is not a model file of fastann: {reason}.")


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open an existing, ordinary file for reading: no folder, no pipe, no device.

    Raises:
        FileNotFoundError: nothing is there.
        ModelFileError: it is no ordinary file.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"expected an existing file, got {str(path)!r}: there is no such file.")
    if not place.is_file():
        raise ModelFileError(f"expected a file, got {str(path)!r}, which is a folder or a device.")
    return place.open("rb")


def cleaned(error: BaseException, limit: int = 80) -> str:
    """Return what `error` says as it may stand in another message: one line, escaped, cut, without the full stop."""
    text = str(error).encode("unicode_escape", "backslashreplace").decode("ascii").rstrip(".")
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def shorten(text: str, limit: int = 60) -> str:
    """Return `text` quoted as it may stand in a message: escaped, and cut to about `limit` characters."""
    shown = ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 4] + "...'"


def _check_directory(file: IO[bytes], size: int, path: str) -> None:
    """Refuse what is no zip, and a table of contents so large that reading it would fill the memory."""
    file.seek(0)
    start = file.read(4)
    tail_size = min(size, _END.size + 0xFFFF + _LOCATOR_SIZE + _END64.size)
    file.seek(size - tail_size)
    tail = file.read(tail_size)
    at = tail.rfind(b"PK\x05\x06", 0, len(tail) - _END.size + 4)
    if at < 0:
        reason = "it was cut short" if start == b"PK\x03\x04" else "it is not a zip file"
        raise ModelFileError(f"{path!r} is not a model file of fastann: {reason}.")
    *_, members, directory, _, _ = _END.unpack_from(tail, at)
    record = at - _LOCATOR_SIZE - _END64.size
    if record >= 0 and tail.startswith(b"PK\x06\x06", record):
        *_, members64, directory64, _ = _END64.unpack_from(tail, record)
        members, directory = max(members, members64), max(directory, directory64)
    if members > _MAX_MEMBERS or directory > _MAX_DIRECTORY:
        raise ModelFileError(
            f"{path!r} is not a model file of fastann: it claims {members:,} members in a table of {directory:,} bytes."
        )
    file.seek(0)
