"""The cache of machine code: only whole entries, that nobody else could have written, are used."""

import multiprocessing
import multiprocessing.pool
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvemu.engine.native import library
from rvemu.engine.native.cache import cached
from rvemu.user_cache import cache_folder

CODE = b"machine code " * 1000


class Maker:
    """Makes code, and counts how often."""

    def __init__(self, code: bytes = CODE) -> None:
        self.code = code
        self.calls = 0

    def __call__(self) -> bytes:
        self.calls += 1
        return self.code


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "rvemu" / "native"


@pytest.fixture
def entry(folder: Path) -> Path:
    """The file of an entry that is there."""
    assert cached("key", Maker()) == CODE
    (path,) = folder.iterdir()
    return path


def _made_again(expected: int = 1) -> bool:
    """Whether the entry is not used, but made anew, and used after that."""
    maker = Maker()
    assert cached("key", maker) == CODE
    again = Maker(b"never")
    kept = cached("key", again) == CODE
    return maker.calls == expected and kept


def test_made_once(folder: Path) -> None:
    maker = Maker()
    assert [cached("key", maker) for _ in range(3)] == [CODE] * 3
    assert maker.calls == 1
    assert len(list(folder.iterdir())) == 1


def test_keys_have_entries_of_their_own(folder: Path) -> None:
    assert cached("one", Maker(b"1")) == b"1"
    assert cached("two", Maker(b"2")) == b"2"
    assert cached("one", Maker(b"3")) == b"1"
    assert len(list(folder.iterdir())) == 2


def test_only_the_user_may_read_and_write(entry: Path) -> None:
    assert entry.stat().st_mode & 0o777 == 0o600
    assert entry.parent.stat().st_mode & 0o777 == 0o700


def test_private_entries_are_used(entry: Path) -> None:
    assert _made_again(expected=0)
    entry.chmod(0o644)  # to be read by others does no harm
    assert _made_again(expected=0)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_others_may_write_the_entry(entry: Path, mode: int) -> None:
    entry.chmod(mode)
    assert _made_again()
    assert entry.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_others_may_write_the_folder(entry: Path, mode: int) -> None:
    entry.parent.chmod(mode)
    for _ in range(2):  # nothing is written there, either
        maker = Maker(b"new")
        assert cached("key", maker) == b"new"
        assert maker.calls == 1


def test_entry_of_somebody_else(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entry.exists()
    uid = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: uid + 1)
    maker = Maker(b"new")
    assert cached("key", maker) == b"new"
    assert maker.calls == 1


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 5000])
def test_truncated(entry: Path, length: int) -> None:
    entry.write_bytes(entry.read_bytes()[:length])
    assert _made_again()


@pytest.mark.parametrize("at", [0, 31, 32, 9000, -1])
def test_corrupt(entry: Path, at: int) -> None:
    content = bytearray(entry.read_bytes())
    content[at] ^= 0x40
    entry.write_bytes(content)
    assert _made_again()


def test_symbolic_link(entry: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)
    assert _made_again()
    assert not entry.is_symlink()
    assert elsewhere.exists()


def test_fifo(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)
    assert _made_again()


def test_directory_in_its_place(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()
    maker = Maker()
    assert cached("key", maker) == CODE
    assert maker.calls == 1
    assert [p.name for p in entry.parent.iterdir()] == [entry.name]  # nothing unfinished is left


@pytest.fixture(params=["file", "full"])
def unwritable(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that can't be written. (Permissions would not stop root.)"""
    if request.param == "file":
        folder.parent.mkdir()
        folder.write_bytes(b"not a folder")
    else:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", full)


@pytest.mark.usefixtures("unwritable")
def test_unwritable_cache_costs_only_time(folder: Path) -> None:
    maker = Maker()
    assert [cached("key", maker) for _ in range(2)] == [CODE] * 2
    assert maker.calls == 2
    assert not folder.is_dir() or not list(folder.iterdir())


def test_failure_to_make_leaves_nothing(folder: Path) -> None:
    def fail() -> bytes:
        raise RuntimeError("no code for this host")

    with pytest.raises(RuntimeError, match="no code for this host"):
        cached("key", fail)
    assert not folder.exists()


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pathlib.Path.home", homeless)
    assert cached("key", Maker()) == CODE


def test_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path("/home/user/.cache/rvemu")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, as the standard says
    assert cache_folder() == Path("/home/user/.cache/rvemu")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/user")
    assert cache_folder() == Path("/var/cache/user/rvemu")


def test_old_entries_and_unfinished_ones_are_removed(folder: Path) -> None:
    for n in range(12):
        cached(f"key {n}", Maker())
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    assert len(list(folder.iterdir())) <= 9
    abandoned, recent = folder.parent / "native/.new-a", folder / ".new-b"
    abandoned.write_bytes(b"")
    recent.write_bytes(b"")
    os.utime(abandoned, (0, time.time() - 7200))
    cached("another", Maker())
    assert recent.exists() and not abandoned.exists()


def _work(start: float, key: str) -> bytes:
    time.sleep(max(0.0, start - time.time()))
    result = b""
    for n in range(20):
        result = cached(f"{key} {n % 2}", Maker())
    return result


@pytest.fixture
def pool(folder: Path) -> Iterator["multiprocessing.pool.Pool"]:
    assert not folder.exists()
    with multiprocessing.get_context("fork").Pool(4) as workers:
        yield workers


def test_many_at_once(pool: "multiprocessing.pool.Pool", folder: Path) -> None:
    start = time.time() + 0.2
    assert pool.starmap(_work, [(start, "key")] * 4) == [CODE] * 4
    names = [path.name for path in folder.iterdir()]
    assert len(names) == 2 and not any(name.startswith(".") for name in names)


def test_what_code_is_made_from_is_in_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each source of the model, the compiler and the interpreter; and none besides."""
    for part in ("hart/a.py", "isa/b.py", "engine/compiler/c.py", "engine/native/d.py"):
        path = tmp_path / part
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    for part in ("lang.py", "engine/jit.py", "machine.py", "engine/reference.py"):
        (tmp_path / part).write_text("x = 1\n")
    monkeypatch.setattr("rvemu.__file__", str(tmp_path / "__init__.py"))
    seen = {library.source_digest()}
    for count, part in enumerate(
        ("hart/a.py", "isa/b.py", "engine/compiler/c.py", "engine/native/d.py", "lang.py")
        + ("engine/jit.py",),
        2,
    ):
        (tmp_path / part).write_text("x = 2\n")
        seen.add(library.source_digest())
        assert len(seen) == count
    (tmp_path / "machine.py").write_text("x = 2\n")
    (tmp_path / "engine/reference.py").write_text("x = 2\n")
    seen.add(library.source_digest())
    assert len(seen) == 7
