"""Archives that are dangerous, damaged or too large leave nothing; others appear whole."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
from archive_files import tar_of, zip_of

from safeio import archive_limits, archives
from safeio.archives import ArchiveError, unpack
from tools.faults.damage import damages

TEXTURES = {f"dtd/images/banded/banded_{i}.jpg": b"x" * 5000 for i in range(40)}


@pytest.mark.parametrize("form", [tar_of, zip_of])
def test_everything_or_what_is_taken(tmp_path, form):
    (tmp_path / "a").write_bytes(form({"one/x.txt": b"x", "two/deep/y.txt": b"y"}))
    unpack(tmp_path / "a", tmp_path / "all")
    assert (tmp_path / "all/one/x.txt").read_bytes() + (tmp_path / "all/two/deep/y.txt").read_bytes() == b"xy"
    unpack(tmp_path / "a", tmp_path / "some", {"two/": "2/"})
    assert [path for path in (tmp_path / "some").rglob("*") if path.is_file()] == [tmp_path / "some/2/deep/y.txt"]


@pytest.mark.parametrize("name", ["/etc/harm", "../harm", "dtd/../../harm", "dtd\\..\\..\\harm", "C:\\harm"])
@pytest.mark.parametrize("form", [tar_of, zip_of])
def test_members_that_point_outside_are_refused(tmp_path, form, name):
    (tmp_path / "a").write_bytes(form({"dtd/fine.jpg": b"x", name: b"harm"}))
    with pytest.raises(ArchiveError, match="outside"):
        unpack(tmp_path / "a", tmp_path / "in" / "side", {"dtd/": "", "C:": "", "/": "", "..": ""})
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    special = tarfile.TarInfo("dtd/link")
    special.type, special.linkname = kind, "/etc"
    (tmp_path / "a").write_bytes(tar_of({"dtd/fine.jpg": b"x"}, special=special))
    with pytest.raises(ArchiveError, match="neither a file nor a folder"):
        unpack(tmp_path / "a", tmp_path / "out", {"dtd/": ""})
    assert not list((tmp_path / "out").rglob("*"))


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("dtd/link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(ArchiveError, match="a link"):
        unpack(tmp_path / "a", tmp_path / "out", {"dtd/": ""})


DAMAGED = {"empty": b"", "text": b"not an archive", "cut": tar_of(TEXTURES)[:300], "other": tar_of({"other/x": b"x"})}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_and_wrong_archives_are_named(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveError, match=str(tmp_path / "a")):
        unpack(tmp_path / "a", tmp_path / "out", {"dtd/": ""})


@pytest.mark.parametrize("form", [tar_of, zip_of])
def test_bombs_leave_nothing(tmp_path, form, monkeypatch):
    monkeypatch.setattr(archive_limits, "HARMLESS", 1 << 20)
    (tmp_path / "a").write_bytes(form({"dtd/fine.jpg": b"x", "dtd/zeros": bytes(8 << 20)}))
    with pytest.raises(ArchiveError, match=r"a would unpack to 0\.01 GB or more"):
        unpack(tmp_path / "a", tmp_path / "out", {"dtd/": ""})
    assert not list((tmp_path / "out").rglob("*"))


def test_the_disk_is_looked_at_first(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    (tmp_path / "a").write_bytes(tar_of(TEXTURES))
    with pytest.raises(ArchiveError, match="Make room"):
        unpack(tmp_path / "a", tmp_path / "out", {"dtd/": ""})


@pytest.mark.parametrize("form", [tar_of, zip_of])
def test_any_damage_is_one_error_and_leaves_nothing(tmp_path, form):
    whole = form({"dtd/a.jpg": b"x" * 300, "dtd/b/c.jpg": bytes(range(256))})
    file, refused = tmp_path / "a", 0
    for way, hurt in damages(whole):
        if way.startswith(("a link", "a pipe")):  # of the archive itself, which the user has named
            continue
        hurt(file)
        out = tmp_path / "out"
        try:
            unpack(file, out)
        except ArchiveError as error:
            assert str(file) in str(error), way
            assert not out.exists() or not list(out.rglob("*")), way
            refused += 1
        shutil.rmtree(out, ignore_errors=True)
    assert refused > 60


@pytest.mark.parametrize("names", [("dtd/a", "dtd/a/b"), ("dtd/a", "dtd/a"), ("dtd/" + "n" * 300,), ("dtd/a\0b",)])
def test_names_that_no_disk_takes_are_damage(tmp_path, names):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "a").write_bytes(buffer.getvalue())
    with contextlib.suppress(ArchiveError):  # a name may be cut, as tar does with a zero byte
        unpack(tmp_path / "a", tmp_path / "out")
    assert not list(tmp_path.rglob(".unpacking-*"))
