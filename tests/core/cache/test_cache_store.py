"""Entries on disk: found whole or not at all, named where damaged, never the end of a run."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.cache.code import own_code, sources_digest
from vision_evals.core.cache.contents import cache_files, prune, seconds, size, summaries
from vision_evals.core.cache.store import Cache, CacheEntry, about, parse, written
from vision_evals.core.errors import UserError

ENTRY = CacheEntry({"classifier": "net", "measure": "accuracy", "n": 3}, b"rows\nof bytes\x00\xff")


def cache(folder: Path) -> tuple[Cache, list[str]]:
    said: list[str] = []
    return Cache(folder, said.append), said


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    here, said = cache(tmp_path)
    assert here.get("shards", "q", "i") is None
    assert not here.holds("shards", "q")
    here.put("shards", "q", "i", ENTRY)
    assert here.holds("shards", "q")
    assert here.get("shards", "q", "i") == ENTRY
    assert here.get("shards", "q", "other") is None
    assert not said
    assert about(tmp_path / "shards" / "q" / "i") == ENTRY.about


@given(st.binary(max_size=200), st.data())
def test_any_flipped_bit_or_lost_byte_is_noticed(payload: bytes, data: st.DataObject) -> None:
    whole = written(CacheEntry({"n": 1}, payload))
    assert parse(whole) == CacheEntry({"n": 1}, payload)
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    assert parse(bytes(flipped)) is None
    assert parse(whole[:place]) is None


def test_a_damaged_entry_is_named_and_removed(tmp_path: Path) -> None:
    here, said = cache(tmp_path)
    here.put("shards", "q", "i", ENTRY)
    file = tmp_path / "shards" / "q" / "i"
    file.write_bytes(file.read_bytes()[:-1])
    assert here.get("shards", "q", "i") is None
    assert said == [f"{file}: a damaged entry of the cache; it is computed again"]
    assert not file.exists()
    here.put("shards", "q", "i", ENTRY)
    assert here.get("shards", "q", "i") == ENTRY


def test_a_cache_that_is_a_file_costs_one_warning(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder", encoding="utf-8")
    here, said = cache(tmp_path / "cache")
    for images in "ab":
        here.put("shards", "q", images, ENTRY)
        assert here.get("shards", "q", images) is None
    assert len(said) == 1
    assert "the cache takes nothing more" in said[0]


def test_a_folder_of_an_older_layout_is_left_alone(tmp_path: Path) -> None:
    """Entries in one flat folder, of other kinds, or where an entry has its folder today."""
    key, other = "a" * 64, "b" * 64
    older = [f"{key}", f"shards/{key}", f"walks/{key}/{other}", "shards/q/i.bin", "recipes/net.pt"]
    for name in older:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"of an older version")
    here, said = cache(tmp_path)
    assert list(cache_files(tmp_path)) == []
    assert not here.holds("shards", key)
    assert here.get("shards", key, other) is None
    here.put("shards", other, key, ENTRY)
    assert here.get("shards", other, key) == ENTRY
    assert not said
    here.put("shards", key, other, ENTRY)  # where the older file is in the way
    assert len(said) == 1
    assert "the cache takes nothing more" in said[0]
    prune(list(cache_files(tmp_path)))
    assert all((tmp_path / name).read_bytes() == b"of an older version" for name in older)


def test_a_full_disk_leaves_no_half_of_an_entry(tmp_path: Path) -> None:
    """A limit on the size of files makes the system refuse writes as a full disk does."""
    code = (
        "import resource, sys; from pathlib import Path;"
        "from vision_evals.core.cache.store import Cache, CacheEntry;"
        "said = []; here = Cache(Path(sys.argv[1]), said.append);"
        "here.put('shards', 'q', 'small', CacheEntry({}, b'x' * 100));"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "here.put('shards', 'q', 'large', CacheEntry({}, b'x' * 5000));"
        "assert here.get('shards', 'q', 'large') is None;"
        "assert here.get('shards', 'q', 'small') is not None; print(said)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert "File too large" in done.stdout
    assert [file.name for file in (tmp_path / "shards" / "q").iterdir()] == ["small"]


def test_many_processes_at_once_do_no_harm(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from vision_evals.core.cache.store import Cache, CacheEntry\n"
        "here = Cache(Path(sys.argv[1]), lambda said: sys.exit(said))\n"
        "for i in range(300):\n"
        "    name = str(i % 7)\n"
        "    found = here.get('shards', 'q', name)\n"
        "    assert found is None or found == CacheEntry({'n': i % 7}, name.encode() * 5000)\n"
        "    here.put('shards', 'q', name, CacheEntry({'n': i % 7}, name.encode() * 5000))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in running:
        assert process.communicate()[1] == b""
        assert process.returncode == 0
    assert len(list((tmp_path / "shards" / "q").iterdir())) == 7


def key(index: int) -> str:
    return f"{index:064x}"


def filled(folder: Path) -> None:
    here, _ = cache(folder)
    for index in range(5):
        entry = CacheEntry({"classifier": "net", "measure": "fgsm"}, bytes(1000))
        here.put("shards", key(index), key(9), entry)


def test_lists_add_up(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / f"{key(1)}-0.safetensors").write_bytes(bytes(500))
    (tmp_path / "noise-x.json").write_text("{}", encoding="utf-8")
    found = list(cache_files(tmp_path))
    assert len(found) == 6
    told = {(line.kind, line.classifier, line.measure): line for line in summaries(found)}
    assert told["shards", "net", "fgsm"].entries == 5
    assert told["recipes", "", ""].size == 500
    assert sum(line.size for line in told.values()) == sum(one.size for one in found)


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    import os

    filled(tmp_path)
    now = time.time()
    for index in range(5):
        os.utime(tmp_path / "shards" / key(index) / key(9), (now - 100 * index,) * 2)
    here, _ = cache(tmp_path)
    here.get("shards", key(4), key(9))  # used again: the last to go
    one = next(iter(cache_files(tmp_path))).size
    gone = prune(list(cache_files(tmp_path)), larger_than=3 * one)
    assert [file.path.parent.name for file in gone] == [key(3), key(2)]
    gone = prune(list(cache_files(tmp_path)), older_than=50)
    assert [file.path.parent.name for file in gone] == [key(1)]
    assert not (tmp_path / "shards" / key(1)).exists()
    assert len(prune(list(cache_files(tmp_path)))) == 2
    assert list(cache_files(tmp_path)) == []


def test_nothing_outside_is_ever_touched(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / key(1)).mkdir(parents=True)
    (outside / key(1) / key(2)).write_text("mine", encoding="utf-8")
    inside = tmp_path / "cache"
    (inside / "shards").mkdir(parents=True)
    (inside / "shards" / key(3)).symlink_to(outside / key(1), target_is_directory=True)
    (inside / "pictures").symlink_to(outside, target_is_directory=True)
    own = ["notes.txt", "shards/train/00000.tar", "recipes/mine.safetensors", "measured/a/b.png"]
    for name in own:
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_text("mine", encoding="utf-8")
    prune(list(cache_files(inside)))
    assert (outside / key(1) / key(2)).read_text(encoding="utf-8") == "mine"
    assert all((inside / name).is_file() for name in own)


@pytest.mark.parametrize(
    ("text", "value"), [("30d", 30 * 86400), ("1.5h", 5400), ("2 w", 1209600), ("90m", 5400)]
)
def test_times(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("5GB", 5e9), ("500 mb", 5e8), ("0.5TB", 5e11)])
def test_sizes(text: str, value: float) -> None:
    assert size(text) == value


@pytest.mark.parametrize("text", ["30", "d", "-3d", "5XB", ""])
def test_what_is_neither_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="such as 30d"):
        seconds(text)
    with pytest.raises(UserError, match="such as 5GB"):
        size(text)


def test_any_source_of_the_package_counts(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "room" / "b.py").write_text("y = 1\n", encoding="utf-8")
    digests = [sources_digest(tmp_path)]
    (tmp_path / "room" / "b.py").write_text("y = 2\n", encoding="utf-8")
    digests.append(sources_digest(tmp_path))
    (tmp_path / "room" / "b.py").rename(tmp_path / "room" / "c.py")
    digests.append(sources_digest(tmp_path))
    assert len(set(digests)) == 3


def test_a_helper_of_a_helper_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in (
        ("reached_far", "FACTOR = 1\n\ndef far():\n    return FACTOR\n"),
        ("reached_near", "import numpy\nfrom reached_far import far\n"),
        ("reached_top", "import reached_near\n"),
    ):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    importlib.import_module("reached_top")
    before = own_code({"reached_top"})
    assert own_code({"reached_top"}) == before
    assert own_code({"numpy", "torch.nn"}) == own_code(set())  # installed: their versions count
    far = tmp_path / "reached_far.py"
    far.write_text(far.read_text(encoding="utf-8").replace("= 1", "= 22"), encoding="utf-8")
    assert own_code({"reached_top"}) == before  # what runs is what was imported
    for name in ("reached_far", "reached_near", "reached_top"):
        sys.modules.pop(name)
    importlib.invalidate_caches()
    importlib.import_module("reached_top")
    assert own_code({"reached_top"}) != before
    for name in ("reached_far", "reached_near", "reached_top"):
        sys.modules.pop(name)


def test_a_folder_that_is_pruned_away_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, said = cache(tmp_path)
    times: list[int] = []
    plain = Path.write_bytes

    def pruned(path: Path, content: bytes) -> int:
        if not times:
            times.append(1)
            path.parent.rmdir()
        return plain(path, content)

    monkeypatch.setattr(Path, "write_bytes", pruned)
    here.put("shards", "q", "i", ENTRY)
    assert here.get("shards", "q", "i") == ENTRY
    assert not said


def test_a_json_bomb_is_no_entry(tmp_path: Path) -> None:
    import hashlib

    rest = b"[" * 100_000 + b"\npayload"
    whole = hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
    assert parse(whole) is None
    (tmp_path / "bomb").write_bytes(whole)
    assert about(tmp_path / "bomb") == {}


def test_a_module_that_took_anothers_place_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python may give the second the address of the first, which is gone."""
    monkeypatch.syspath_prepend(tmp_path)
    said = set()
    for factor in range(20):
        (tmp_path / "reached_again.py").write_text(f"FACTOR = {factor:03d}.0\n", encoding="utf-8")
        importlib.invalidate_caches()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            importlib.import_module("reached_again")
        said.add(own_code({"reached_again"}))
        sys.modules.pop("reached_again")
        gc.collect()
    assert len(said) == 20
