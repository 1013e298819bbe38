"""What a file is, told without running it: real files of every kind, and hostile ones."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.serialization import get_unsafe_globals_in_checkpoint
from torchvision import models

from vision_evals.cli import main
from vision_evals.core.errors import UserError
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.inspection.inspect_file import FileInspection, inspect_file
from vision_evals.models.inspection.pickles import COMPUTED, read_imports
from vision_evals.models.inspection.terminal import lines
from vision_evals.models.registry import Registry

State = dict[str, torch.Tensor]
FUZZ = settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
MAGIC = 0x1950A86A20F9469CFC6C


class Payload:
    """Makes a folder when a pickle of it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def weights() -> State:
    return dict(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).state_dict())


def legacy(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def script(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)


def looked(file: Path) -> FileInspection:
    found = inspect_file(file, {})
    json.dumps(found.model_dump(mode="json"), allow_nan=False)
    said = "\n".join(lines(found))
    assert all(c.isprintable() or c == "\n" for c in said)
    return found


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("check_file_")]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold files against three networks instead of eighty."""
    names = ("alexnet", "resnet18", "squeezenet1_1")
    monkeypatch.setattr("vision_evals.models.matching.torchvision_names", lambda: names)


@pytest.mark.parametrize(
    ("save", "format_"),
    [
        (torch.save, "zip of torch.save"),
        (legacy, "pickle that torch.save wrote"),
        (safetensors.torch.save_file, "safetensors"),
    ],
)
def test_weights_in_every_format(
    tmp_path: Path, save: Callable[[State, Path], None], format_: str
) -> None:
    state, file = weights(), tmp_path / "a.bin"
    save(state, file)
    found = looked(file)
    assert (found.judged, found.refused, found.format) == (True, None, format_)
    assert found.code is not None
    assert found.code.could_run == "no"
    assert (found.tensors, found.numbers) == (9, 112 + 16 + 1 + 10)
    assert found.parameters == 112 + 8 + 10, "without the statistics of BatchNorm"
    assert found.dtypes == {"float32": 138, "int64": 1}
    assert found.size == file.stat().st_size
    assert found.fits == ()


def test_numbers_that_are_none_are_all_counted(tmp_path: Path) -> None:
    state = weights()
    state["0.weight"][0] = float("nan")
    state["2.bias"][1] = float("-inf")
    torch.save(state, tmp_path / "a.pt")
    found = looked(tmp_path / "a.pt")
    assert found.not_finite == {"0.weight": 27, "2.bias": 1}
    assert not found.judged
    assert "2 tensors hold 28 NaN or Inf" in str(found.refused)


def test_what_was_taken_off(tmp_path: Path) -> None:
    state = {f"module._orig_mod.{name}": tensor for name, tensor in weights().items()}
    torch.save({"model": {"state_dict": state}, "epoch": 3}, tmp_path / "a.pt")
    found = looked(tmp_path / "a.pt")
    assert found.wrappers == ("model", "state_dict")
    assert found.prefixes == ("module.", "_orig_mod.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<!doctype html><p>quota", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "HDF5"),
        (b"GGUF" + bytes(600), "GGUF"),
        (bytes(257) + b"ustar", "tar archive"),
        (b"PK\x03\x04 cut off", "truncated or damaged"),
        (struct.pack("<Q", 40) + b'{"w":{"dtype":"F32","shape":[9]}}' + bytes(60), "safetensors"),
    ],
)
def test_what_else_is_found_under_that_name(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(content)
    found = looked(file)
    assert not found.judged
    assert says in str(found.refused)
    assert found.size == len(content)


def test_programs_and_whole_networks(tmp_path: Path) -> None:
    script(tmp_path / "script.pt")
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    found = looked(tmp_path / "script.pt")
    assert (found.format, found.judged) == ("TorchScript", False)
    assert found.code is not None
    assert found.code.could_run == "yes"
    assert "a TorchScript program" in found.code.reasons[0]
    found = looked(tmp_path / "whole.pt")
    assert found.code is not None
    assert found.code.calls == ("torch.nn.modules.linear.Linear",)
    assert "whole pickled network" in str(found.refused)


@pytest.mark.parametrize("save", [torch.save, legacy])
@pytest.mark.parametrize("protocol", [None, *range(6)])
def test_a_malicious_pickle_is_named_and_not_run(
    tmp_path: Path, save: Callable[..., None], protocol: int | None
) -> None:
    file, mark = tmp_path / "a.pt", tmp_path / "ran"
    content = {"state_dict": weights(), "extra": Payload(mark)}
    if protocol is None:
        save(content, file)
    elif save is torch.save:
        torch.save(content, file, pickle_protocol=max(protocol, 2))
    else:
        file.write_bytes(pickle.dumps(content["extra"], protocol))
    found = looked(file)
    assert found.code is not None
    assert found.code.could_run == "yes"
    assert f"{os.mkdir.__module__}.mkdir" in found.code.calls
    assert not found.judged
    assert not mark.exists()
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists(), "the payload is a real one"


def test_two_ways_to_the_names(tmp_path: Path) -> None:
    """The names that torch itself finds beyond what it allows for weights are the same."""
    for number, content in enumerate((weights(), {"x": Payload(tmp_path)}, nn.Conv2d(1, 1, 1))):
        torch.save(content, tmp_path / f"{number}.pt")
        found = looked(tmp_path / f"{number}.pt")
        assert found.code is not None
        assert set(found.code.calls) == set(
            get_unsafe_globals_in_checkpoint(tmp_path / f"{number}.pt")
        )


OPCODES = {
    "GLOBAL": b"cos\nsystem\n.",
    "INST": b"(S'x'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'x'\no.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93.",
    "put and get": b"\x80\x02X\x02\x00\x00\x00osq\x0700X\x06\x00\x00\x00systemq\x08g7\nh\x08\x93.",
    "behind a mark": b"(S'os'\n0\x8c\x02os\x8c\x06system\x93.",
    "cut off": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09echo",
}


@pytest.mark.parametrize("way", OPCODES)
def test_every_way_to_import(tmp_path: Path, way: str) -> None:
    assert read_imports(OPCODES[way]).names == ("os.system",)
    (tmp_path / "a.pt").write_bytes(OPCODES[way])
    found = looked(tmp_path / "a.pt")
    assert found.code is not None
    assert (found.code.could_run, found.code.calls) == ("yes", ("os.system",))


def test_names_that_are_computed_and_numbers_of_copyreg() -> None:
    assert read_imports(b"\x80\x04\x8c\x02os\x8c\x03sys\x8c\x03tem\x86\x93.").names == (COMPUTED,)
    assert read_imports(b"\x80\x02\x82\x07.").names == ("extension 7 of copyreg",)
    assert read_imports(b"\x93.").names == (COMPUTED,)


@given(
    st.recursive(st.none() | st.integers() | st.text() | st.binary(), st.lists), st.integers(0, 5)
)
def test_harmless_pickles_import_nothing(content: object, protocol: int) -> None:
    data = pickle.dumps(content, protocol)
    found = read_imports(data + data)
    assert (found.pickles, found.broken) == (2, None)
    assert set(found.names) <= {"_codecs.encode", "builtins.bytes"}  # bytes before protocol 3


def test_a_pickle_behind_the_first_ones(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    legacy(weights(), file)
    first: tuple[object, ...] = (MAGIC, 1001, {}, {})
    head = b"".join(pickle.dumps(word, 2) for word in first)
    for tail in (OPCODES["GLOBAL"], pickle.dumps([], 2)[:-1] + OPCODES["STACK_GLOBAL"]):
        file.write_bytes(head + tail)
        found = looked(file)
        assert found.code is not None
        assert found.code.could_run == "yes", "the fifth pickle"


def archive(file: Path, members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as written:
        warnings.simplefilter("ignore")
        for name, content in members:
            written.writestr(name, content)


def test_pickles_under_other_names_in_a_zip(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "good.pt")
    with zipfile.ZipFile(tmp_path / "good.pt") as good:
        members = [(name, good.read(name)) for name in good.namelist()]
    evil = OPCODES["GLOBAL"]
    archive(tmp_path / "a.pt", [*members, ("good/extra/notes.PKL", evil)])
    found = looked(tmp_path / "a.pt")
    assert found.code is not None
    assert (found.code.could_run, found.code.calls) == ("yes", ("os.system",))
    assert found.tensors == 9
    assert "another reader would run code" in str(found.refused)
    assert not found.judged
    archive(tmp_path / "b.pt", [*members, ("good/DATA.pkl", evil)])
    found = looked(tmp_path / "b.pt")
    assert "two members called 'good/data.pkl'" in str(found.refused)
    archive(tmp_path / "c.pt", [("a.txt", b"hello")])
    assert not looked(tmp_path / "c.pt").judged
    archive(tmp_path / "d.pt", [("d/data.pkl", bytes(10_000_000))], zipfile.ZIP_DEFLATED)
    assert "would unpack to more than it holds" in str(looked(tmp_path / "d.pt").refused)


def test_more_instructions_than_anybody_walks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Millions of marks would take gigabytes: such a file is left alone."""
    monkeypatch.setattr("vision_evals.models.inspection.pickles.MAX_INSTRUCTIONS", 1000)
    (tmp_path / "a.pt").write_bytes(b"(" * 2000 + OPCODES["GLOBAL"])
    found = looked(tmp_path / "a.pt")
    assert "more than 1,000 instructions" in str(found.refused)
    assert found.code is not None
    assert found.code.could_run == "cannot tell"


def test_shapes_that_promise_more_than_is_there(tmp_path: Path) -> None:
    huge = torch.ones(1).as_strided((1 << 20, 1 << 20), (0, 0))
    torch.save({"w": huge}, tmp_path / "a.pt")
    assert (tmp_path / "a.pt").stat().st_size < 10_000
    assert "the numbers are not all there" in str(looked(tmp_path / "a.pt").refused)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "weights.pt").touch()
    for name, says in (
        ("", "is a folder"),
        ("pipe", "a pipe"),
        ("weight.pt", 'did you mean "weights.pt"'),
        ("weights.pt/a", "annot be read"),
        ("a\0b", "cannot be read"),
    ):
        found = looked(tmp_path / name)
        assert says in str(found.refused), found
        assert found.sha256 is None


@FUZZ
@given(st.binary(max_size=400))
@example(b"\x80\x02")
@example(b"PK\x05\x06" + bytes(18))
def test_random_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    assert not looked(tmp_path / "a.pt").judged


@FUZZ
@given(st.data())
@pytest.mark.parametrize("save", [torch.save, legacy, safetensors.torch.save_file])
def test_damaged_files(tmp_path: Path, save: Callable[..., None], data: st.DataObject) -> None:
    """What is judged can be loaded, what can be loaded is judged, and it could run nothing."""
    file = tmp_path / "a.pt"
    if not (tmp_path / "whole").exists():
        save(weights(), tmp_path / "whole")
    content = bytearray((tmp_path / "whole").read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: cut if data.draw(st.booleans()) else None])
    found = looked(file)
    try:
        load_state_dict(file)
    except UserError:
        assert not found.judged
    else:
        assert found.code is not None
        assert found.code.could_run == "no"
        assert found.judged


def test_names_that_a_terminal_would_obey(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m\n.pt"
    torch.save({"w\x1b[2J": torch.tensor([float("nan")])}, file)
    assert looked(file).not_finite == {"w\x1b[2J": 1}


def test_the_network_and_its_head(tmp_path: Path) -> None:
    state = models.squeezenet1_1(num_classes=7).state_dict()
    torch.save(state, tmp_path / "a.pt")
    found = looked(tmp_path / "a.pt")
    assert (found.head, found.classes) == ("classifier.1", 7)
    assert {fit.exact for fit in found.fits} == {False}
    assert found.fits[0].differs == ("classifier.1 (7 classes instead of 1000)",)


CARDS = """
[models.mine]
network = "check_file_nets:Tiny"
input = { mean = [0, 0, 0], std = [1, 1, 1] }
[models.broken]
network = "check_file_nets:nothing"
input = { mean = [0, 0, 0], std = [1, 1, 1] }
"""
NETS = """
from torch import nn
def Tiny():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
"""


OLD_TAR = b"}." + bytes(98) + b"0000644\0" + bytes(16) + b"00000000000\0" * 2
"""The head of a tar of before ustar, whose first member is called ``}.``: a whole pickle."""


def test_a_tar_of_before_ustar_can_run_anything(tmp_path: Path) -> None:
    head = OLD_TAR + b" " * 8 + b"0" + bytes(355)
    summed = b"%06o\0 " % sum(head)
    (tmp_path / "a.pt").write_bytes(OLD_TAR + summed + b"0" + bytes(355 + 1024))
    assert tarfile.is_tarfile(tmp_path / "a.pt")
    assert pickle.loads((tmp_path / "a.pt").read_bytes()) == {}
    found = looked(tmp_path / "a.pt")
    assert "a tar archive" in str(found.refused)
    assert found.code is not None
    assert found.code.could_run == "cannot tell"
    assert "code       cannot tell: " in "\n".join(lines(found))
    for name, content in (("b.pt", b"}." + bytes(600)), ("c.h5", b"\x89HDF\r\n" + bytes(600))):
        (tmp_path / name).write_bytes(content)
        found = looked(tmp_path / name)
        assert found.code is not None
        assert found.code.could_run == "cannot tell"


def test_no_code_of_a_project_runs_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cards of pyproject.toml, and the file of cards that it names, name modules."""
    table = "[tool.evals]\ncards = 'cards.toml'\n" + CARDS.replace("[models", "[tool.evals.models")
    marking = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    for name, text in (
        ("pyproject.toml", table.replace("check_file_nets", "check_file_marks")),
        (
            "cards.toml",
            CARDS.replace("mine", "other").replace("check_file_nets", "check_file_marks"),
        ),
        ("check_file_marks.py", marking + NETS),
    ):
        (tmp_path / name).write_text(text)
    torch.save(weights(), tmp_path / "a.pt")
    with contextlib.chdir(tmp_path):
        assert main(["check-file", "a.pt"]) == 0
        assert "near no known network" in capsys.readouterr().out
        assert not (tmp_path / "ran").exists()
        assert main(["check-file", "a.pt", "--evals-cards", "cards.toml"]) == 0
    assert "network    fits other\n" in capsys.readouterr().out
    assert (tmp_path / "ran").exists(), "the mark is a real one"


@pytest.mark.parametrize("prefix", ["model.", "net.backbone."])
def test_a_prefix_is_taken_off_as_in_judging(tmp_path: Path, prefix: str) -> None:
    state = {f"{prefix}{n}": t for n, t in models.squeezenet1_1(num_classes=7).state_dict().items()}
    state["criterion.weight"] = torch.ones(7)
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.5"}, tmp_path / "a.ckpt")
    found = looked(tmp_path / "a.ckpt")
    assert (found.wrappers, found.prefixes) == (("state_dict",), (prefix,))
    assert (found.head, found.classes) == ("classifier.1", 7)
    (near,) = found.fits
    assert "classifier.1 (7 classes instead of 1000)" in near.differs
    (tmp_path / "cards.toml").write_text(CARDS)
    (tmp_path / "check_file_nets.py").write_text(
        "from torchvision.models import squeezenet1_1\ndef Tiny():\n"
        "    return squeezenet1_1(num_classes=7)\n"
    )
    cards = Registry.read({}, tmp_path / "cards.toml", tmp_path).cards
    found = inspect_file(tmp_path / "a.ckpt", cards)
    assert [(fit.name, fit.exact, fit.prefix) for fit in found.fits] == [("mine", True, prefix)]
    assert f'taken off  key "state_dict", prefix "{prefix}"' in "\n".join(lines(found))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cards.toml").write_text(CARDS)
    (tmp_path / "check_file_nets.py").write_text(NETS)
    torch.save(weights(), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(b"<html>")
    with contextlib.chdir(tmp_path):
        assert main(["check-file", "a.pt", "--cards=cards.toml"]) == 0
        said = capsys.readouterr().out
        assert "network    fits mine\n" in said
        assert "classes    2 (2)" in said
        assert main(["check-file", "a.pt", "b.pt", "--json"]) == 1
    first, second = json.load(io.StringIO(capsys.readouterr().out))
    assert (first["judged"], first["path"], second["judged"]) == (True, "a.pt", False)
    assert second["refused"].startswith("a web page")
