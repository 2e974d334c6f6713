"""Writing all or nothing, and reading zips that lie."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from fastann.io.archive import Archive, ModelFileError, replacing, write_archive

MEMBERS = {"a.json": b'{"one": 1}', "b.bin": bytes(range(256)) * 40}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "file.zip"
    write_archive(path, MEMBERS)
    return path


def read_all(path: Path, names=tuple(MEMBERS), limit: int = 1 << 20) -> dict[str, bytes]:
    with Archive(path, names) as archive:
        return {name: archive.read(name, limit) for name in names}


def make_zip(path: Path, entries: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def test_members_come_back_and_other_tools_read_them(written: Path) -> None:
    assert read_all(written) == MEMBERS
    with zipfile.ZipFile(written) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == list(MEMBERS)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_same_members_same_bytes(tmp_path: Path, written: Path) -> None:
    write_archive(tmp_path / "again.zip", MEMBERS)
    assert (tmp_path / "again.zip").read_bytes() == written.read_bytes()


def test_deflated_members_are_read(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "deflated.zip", list(MEMBERS.items()), zipfile.ZIP_DEFLATED)
    assert read_all(path) == MEMBERS


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept"]


def test_the_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions and links")
def test_permissions_follow_the_umask_and_links_are_followed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "real") as file:
            file.write(b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o640
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing(tmp_path / "link") as file:
        file.write(b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"2"


def test_writing_to_a_folder_or_into_none(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="got the folder"), replacing(tmp_path):
        pass
    with pytest.raises(FileNotFoundError, match="does not exist"), replacing(tmp_path / "none" / "file"):
        pass


def test_reading_nothing_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        Archive(tmp_path / "none", ["a"])
    with pytest.raises(ModelFileError, match="a folder or a device"):
        Archive(tmp_path, ["a"])


@pytest.mark.parametrize("data", [b"", b"x", b"PK", b"hello world, this is no zip at all", b"\x80\x04\x95pickle"])
def test_not_a_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ModelFileError, match="not a zip file"):
        Archive(tmp_path / "file", ["a"])


def test_every_truncation_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for length in range(0, len(whole), 37):
        written.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_all(written)
    written.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError, match="cut short"):
        read_all(written)


def test_a_changed_byte_is_found_by_the_checksum(written: Path) -> None:
    data = bytearray(written.read_bytes())
    data[data.index(MEMBERS["b.bin"]) + 100] ^= 1
    written.write_bytes(data)
    with pytest.raises(ModelFileError, match="CRC"):
        read_all(written)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "c.bin", "a.json/", "..\\evil", "x" * 500])
def test_unexpected_members(tmp_path: Path, name: str) -> None:
    path = make_zip(tmp_path / "file", [*MEMBERS.items(), (name, b"boo")])
    with pytest.raises(ModelFileError, match="unexpected member") as caught:
        read_all(path)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


def test_missing_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [("a.json", b"{}")])
    with pytest.raises(ModelFileError, match=r"lacks the member b\.bin"):
        read_all(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_double_member(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [*MEMBERS.items(), ("a.json", b"{}")])
    with pytest.raises(ModelFileError, match="more than once"):
        read_all(path)


def test_optional_members(written: Path) -> None:
    with Archive(written, ["a.json"], optional=["b.bin", "c.bin"]) as archive:
        assert "b.bin" in archive
        assert "c.bin" not in archive


def test_a_bomb_is_not_inflated(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [("a.json", bytes(64 << 20))], zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="at most 1,000 were expected"):
        read_all(path, ["a.json"], limit=1000)
    with pytest.raises(ModelFileError, match="compressed ones"):
        read_all(path, ["a.json"], limit=1 << 30)


def test_a_bomb_that_lies_about_its_size(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [("a.json", bytes(64 << 20))], zipfile.ZIP_DEFLATED)
    lied = path.read_bytes().replace(struct.pack("<L", 64 << 20), struct.pack("<L", 100))
    path.write_bytes(lied)
    with pytest.raises(ModelFileError, match="damaged"):
        read_all(path, ["a.json"], limit=1000)


def test_other_compression_methods_and_encryption(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [("a.json", b"{}")], zipfile.ZIP_LZMA)
    with pytest.raises(ModelFileError, match="compressed by method 14"):
        read_all(path, ["a.json"])
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.json", b"{}")
        archive.infolist()[0].flag_bits |= 1
    path.write_bytes(stream.getvalue())
    with pytest.raises(ModelFileError, match="encrypted"):
        read_all(path, ["a.json"])


def test_a_table_of_contents_with_too_many_members(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "file", [(f"{i}.bin", b"") for i in range(70)])
    with pytest.raises(ModelFileError, match="claims 70 members"):
        read_all(path)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 100, 0, 0)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**62, 0)
    path.write_bytes(record + struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1) + end)
    with pytest.raises(ModelFileError, match="in a table of 4,611,686,018,427,387,904 bytes"):
        read_all(path)
