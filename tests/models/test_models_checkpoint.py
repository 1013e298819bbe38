"""No file of weights runs code or is silently wrong, and each mistake is named."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import struct
import warnings
import zipfile
from argparse import Namespace
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vision_evals.core.errors import UserError, printable
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.inspection.inspect_file import inspect_file
from vision_evals.models.weights_file import sha256_of

State = dict[str, Tensor]
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def weights() -> State:
    state = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).state_dict()
    return dict(state)


def legacy(content: object, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


FORMATS: dict[str, Callable[[State, Path], object]] = {
    "zip": torch.save,
    "legacy": legacy,
    "safetensors": safetensors.torch.save_file,
}


class Payload:
    """Creates a file when a pickle of it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def refused(file: Path, sha256: str | None = None) -> str:
    with pytest.raises(UserError) as raised:
        load_state_dict(file, sha256)
    assert str(raised.value).startswith(printable(str(file)))
    return str(raised.value)


def same(loaded: State, expected: State) -> None:
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(loaded[name], tensor)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["weights.pt", "weights", "epoch.12"])
def test_formats_whatever_their_name(tmp_path: Path, form: str, name: str) -> None:
    state = weights()
    FORMATS[form](state, tmp_path / name)
    same(load_state_dict(tmp_path / name, sha256_of(tmp_path / name)), state)


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_what_is_called_safetensors_and_is_not(tmp_path: Path, form: str) -> None:
    FORMATS[form](weights(), tmp_path / "a.safetensors")
    assert "rename it to .pt" in refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "model_ema": {"w": torch.ones(1)}, "epoch": 3},
        lambda state: {"ema": {"w": torch.ones(1)}, "model_state_dict": state},
        lambda state: {"ema_state_dict": state},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {"epoch": 3, "net": state, "optimizer": {"state": {}, "param_groups": []}},
        lambda state: {"module": state, "global_steps": 7},
        lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
        lambda state: {f"module._orig_mod.module.{n}": tensor for n, tensor in state.items()},
        lambda state: {n.replace("0.", "0._orig_mod."): tensor for n, tensor in state.items()},
        lambda state: {
            "n_averaged": torch.tensor(3),
            **{f"module.{name}": tensor for name, tensor in state.items()},
        },
    ],
    ids=[
        "lightning",
        "plain before averaged",
        "in any order",
        "averaged alone",
        "twice",
        "under a key of one's own",
        "deepspeed",
        "parallel",
        "compiled",
        "compiled in parts",
        "AveragedModel",
    ],
)
def test_what_training_scripts_wrap_around(tmp_path: Path, wrap: Callable[[State], object]) -> None:
    state = weights()
    torch.save(wrap(state), tmp_path / "a.pt")
    same(load_state_dict(tmp_path / "a.pt"), state)


def test_prefixes_that_hide_two_weights_of_one_name(tmp_path: Path) -> None:
    torch.save({"_orig_mod.w": torch.ones(1), "w": torch.zeros(1)}, tmp_path / "a.pt")
    assert "two weights have one name" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html>Quota exceeded", "a web page was saved instead of the weights"),
        (b"\xef\xbb\xbf<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"just words", "neither weights that torch.save wrote nor safetensors"),
        (b"Entry not found", "a text that begins with 'Entry not found'"),
        (b'{"error": "not found"}', "a JSON text without a weight_map"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
        (b"\x1f\x8b\x08", "compressed with gzip"),
        (b"\x93NUMPY", "a NumPy array"),
    ],
)
def test_what_is_no_file_of_weights(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    assert says in refused(tmp_path / "a.pt")


def test_no_such_file(tmp_path: Path) -> None:
    torch.save(weights(), tmp_path / "epoch_12.pt")
    assert refused(tmp_path / "epoch_13.pt").endswith('no such file; did you mean "epoch_12.pt"?')
    assert "no such file" in refused(tmp_path / "nowhere" / "a.pt")
    assert "is a folder; name the file of weights in it" in refused(tmp_path)
    assert "cannot be read" in refused(tmp_path / "a\0b")


@pytest.mark.parametrize("form", FORMATS)
def test_truncated(tmp_path: Path, form: str) -> None:
    file = tmp_path / "a.pt"
    FORMATS[form](weights(), file)
    file.write_bytes(file.read_bytes()[:-40])
    assert "damaged" in refused(file)


def test_a_flipped_weight_in_a_zip_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save({"w": torch.full((64,), 1.5)}, file)
    content = file.read_bytes()
    at = content.index(torch.full((64,), 1.5).numpy().tobytes())
    file.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    assert "checksum" in refused(file)


def test_another_file_than_the_card_says(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    torch.save(weights(), file)
    message = refused(file, "0" * 64)
    assert "0" * 64 in message
    assert sha256_of(file) in message
    assert "expected 01234567..." in refused(file, "01234567")


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_a_pickle_is_named_and_not_run(tmp_path: Path, form: str, protocol: int) -> None:
    file, mark = tmp_path / "a.pt", tmp_path / "mark"
    torch.save(
        {"w": torch.ones(1), "x": Payload(mark)},
        file,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=form == "zip",
    )
    message = refused(file)
    assert not mark.exists()
    assert "save model.state_dict() instead" in message
    if protocol == 2:
        assert "refused without running it: reading this pickle would call posix.mkdir" in message


def test_code_in_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(Payload(tmp_path / "mark"), protocol))
        refused(tmp_path / "a.pkl")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_whole_pickled_network(tmp_path: Path, form: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FORMATS[form](nn.Sequential(nn.Linear(2, 2)), tmp_path / "a.pt")  # type: ignore[arg-type]
    message = refused(tmp_path / "a.pt")
    assert "holds a whole pickled network (torch.nn.modules.container.Sequential)" in message
    assert "save model.state_dict() instead" in message


def test_a_torchscript_program(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.script(nn.Linear(2, 2))
        torch.jit.save(program, tmp_path / "a.pt")
    assert "TorchScript" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([torch.ones(1)], "holds a list"),
        (torch.ones(1), "holds a Tensor"),
        ({}, "holds no weights"),
        ({"model": {}}, "holds no weights"),
        ({"state": {}, "param_groups": []}, "the state of an optimiser, no weights"),
        ({"G": {"w": torch.ones(1)}, "D": {"w": torch.ones(1)}}, "several networks under D, G"),
        ({"w": torch.ones(1), None: torch.ones(1)}, "None is a Tensor, not a named tensor"),
        ({"_extra_state": [torch.full((2,), torch.nan)]}, "'_extra_state' holds 2 NaN or Inf"),
        ({"w": torch.ones(1), "epoch": 3}, "'epoch' is a int"),
        ({3: torch.ones(1)}, "3 is a Tensor, not a named tensor"),
        ({"w": torch.ones(2, 2).to_sparse()}, "'w' is not a plain dense tensor"),
        ({"w": torch.ones(1, device="meta")}, "'w' is not a plain dense tensor"),
        ({"args": Namespace(lr=0.1), "model": {}}, "would call argparse.Namespace"),
    ],
)
def test_contents_that_are_no_weights(tmp_path: Path, content: object, says: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert says in refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("form", "dtype"),
    [*itertools.product(FORMATS, [torch.float32, torch.bfloat16]), ("zip", torch.float8_e4m3fn)],
)
def test_nan_is_named_and_counted(tmp_path: Path, form: str, dtype: torch.dtype) -> None:
    bad = torch.ones(5, 2)
    bad[1] = torch.nan
    FORMATS[form]({"fine": torch.ones(3), "layer.weight": bad.to(dtype)}, tmp_path / "a.pt")
    assert "'layer.weight' holds 2 NaN or Inf among 10 numbers" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize("form", FORMATS)
@FUZZ
@given(data=st.data())
def test_damage_is_a_message_never_an_exception(
    tmp_path: Path, form: str, data: st.DataObject
) -> None:
    file = tmp_path / "a.pt"
    torch.manual_seed(0)
    FORMATS[form](weights(), file)
    content = bytearray(file.read_bytes())
    position = st.integers(0, len(content) - 1)
    for at in data.draw(st.lists(position, max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(position | st.just(len(content)))])
    read_or_refused(file)


@FUZZ
@given(
    head=st.sampled_from(
        [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x08" + b"\0" * 7 + b"{"]
    ),
    tail=st.binary(max_size=200),
    name=st.sampled_from(["a.pt", "a.safetensors"]),
)
def test_random_bytes_are_a_message(tmp_path: Path, head: bytes, tail: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(head + tail)
    read_or_refused(tmp_path / name)


def read_or_refused(file: Path) -> None:
    try:
        assert all(isinstance(tensor, Tensor) for tensor in load_state_dict(file).values())
    except UserError as error:
        assert str(file) in str(error)  # noqa: PT017 - either outcome is right


def judged(file: Path) -> tuple[bool, str]:
    """Return what ``evals check-file`` says; it must say what judging does."""
    found = inspect_file(file, {})
    try:
        load_state_dict(file)
    except UserError as error:
        assert str(error).removeprefix(f"{file}: ") == found.refused  # noqa: PT017 - of two ways
    else:
        assert found.judged
    return found.judged, str(found.refused)


@pytest.fixture
def _few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_evals.models.matching.torchvision_names", lambda: ("alexnet",))


def zipped(file: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


LONG = b"\x8a\x05\x00\x00\x00\x00\x0f"
"""64,424,509,440 as a pickle writes it."""
STORED = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu%stQK\0(%st(%stt"
"""Arguments of a tensor: a storage of so many numbers, shape, strides."""
ENDLESS = {
    "bytes of any number": b"c__builtin__\nbytearray\n" + LONG + b"\x85R.",
    "numbers of any number": b"ctorch\nFloatTensor\n" + LONG + b"\x85\x81.",
    "by another call": b"ctorch._tensor\n_rebuild_from_type_v2\n(c__builtin__\nbytearray\n"
    b"ctorch\nTensor\n" + LONG + b"\x85}tR.",
    "a slow codec": b"c_codecs\nencode\nX\x01\0\0\0aX\x08\0\0\0punycode\x86R.",
    "a key that is long to hash": b"})" + b"q\0h\0\x86" * 60 + b"K\x01s.",
    "a key that is deep to hash": b"})" + b"\x85" * 100_000 + b"K\x01s.",
    "a large storage": b"ctorch._utils\n_rebuild_tensor_v2\n"
    + STORED % (LONG, b"K\x04", b"K\x01")
    + b"R.",
    "large by a list of an older torch": b"ctorch\nFloatTensor\n)R](K\0K\0%sK\0eb." % LONG,
    "large by strides of 0": b"ctorch._utils\n_rebuild_tensor_v2\n"
    + STORED % (b"K\x04", LONG, b"K\0")
    + b"R.",
}


@pytest.mark.usefixtures("_few_networks")
@pytest.mark.parametrize("form", ["zip", "pickle"])
@pytest.mark.parametrize("way", ENDLESS)
def test_what_would_take_memory_or_time_without_end(tmp_path: Path, form: str, way: str) -> None:
    """Torch allows each of these for weights; none is tried."""
    file, content = tmp_path / "a.pt", b"\x80\x02" + ENDLESS[way]
    if form == "zip":
        zipped(file, {"a/data.pkl": content, "a/data/0": bytes(16), "a/version": b"3"})
    else:
        legacy({}, file)
        head = file.read_bytes()
        file.write_bytes(head[: head.rindex(b"\x80\x02}q", 0, -12)] + content)
    able, why = judged(file)
    assert not able
    assert any(w in why for w in ("without end", "numbers in", "not all there", "is computed"))


@pytest.mark.usefixtures("_few_networks")
def test_sound_files_by_hand_are_read(tmp_path: Path) -> None:
    """The same bytes as above, of a size that is there."""
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n"
        + STORED[:-1]
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )
    content = b"\x80\x02}X\x01\0\0\0w" + tensor % (b"K\x04", b"K\x04", b"K\x01") + b"s."
    stored = struct.pack("<4f", 1, 2, 3, 4)
    zipped(tmp_path / "a.pt", {"a/data.pkl": content, "a/data/0": stored, "a/version": b"3"})
    assert judged(tmp_path / "a.pt")[0]
    assert load_state_dict(tmp_path / "a.pt")["w"].tolist() == [1, 2, 3, 4]


@pytest.mark.usefixtures("_few_networks")
def test_names_that_share_one_tensor_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    isfinite = torch.isfinite

    def counted(tensor: Tensor) -> Tensor:
        looked.append(tensor.numel())
        return isfinite(tensor)

    monkeypatch.setattr(torch, "isfinite", counted)
    whole = torch.ones(50_000)
    torch.save({f"w{n}": whole for n in range(1_000)}, tmp_path / "a.pt")
    assert len(load_state_dict(tmp_path / "a.pt")) == 1_000
    assert looked == [50_000]
    torch.save({f"w{n}": whole[n:] for n in range(100)}, tmp_path / "b.pt")
    able, why = judged(tmp_path / "b.pt")
    assert not able
    assert "100 tensors overlap" in why
    assert looked == [50_000]


class Reduced:
    """Is written as a call."""

    def __init__(self, *call: object) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def reduced(tensor: Tensor) -> Any:
    """Return how a tensor is written: a function and its arguments."""
    return tensor.__reduce_ex__(2)  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("_few_networks")
def test_attributes_hide_no_method(tmp_path: Path) -> None:
    """A tensor with NaN that says it holds whole numbers, in a dict that hides its items."""
    rebuild, args = reduced(torch.full((3,), torch.nan))
    hidden = {"is_floating_point": Counter, "detach": 5, "numel": 5, "untyped_storage": 5}
    bad = Reduced(torch._tensor._rebuild_from_type_v2, (rebuild, Tensor, args, hidden))
    names = {"items": 5, "keys": 5, "get": 5, "_metadata": 5}
    state = Reduced(OrderedDict, (), names, None, iter({"w": bad}.items()))
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    able, why = judged(tmp_path / "a.pt")
    assert not able
    assert why.startswith("'w' holds 3 NaN or Inf among 3 numbers")


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_tensors_of_before_torch_0_4(tmp_path: Path, form: str) -> None:
    """Their shape is a call of its own, or they are made empty and filled later."""
    tensor = torch.rand(2, 3)
    _, (storage, offset, shape, stride, *_) = reduced(tensor)
    args = storage, offset, torch.Size(shape), stride
    state = {
        "a": Reduced(torch._utils._rebuild_tensor, args),
        "b": Reduced(torch.Tensor, (), args),
    }
    FORMATS[form](state, tmp_path / "a.pt")  # type: ignore[arg-type]
    same(load_state_dict(tmp_path / "a.pt"), {"a": tensor, "b": tensor})


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"w.npy": b"\x93NUMPY"}, "a NumPy .npz archive"),
        ({"config.json": b"", "model.weights.h5": b""}, "a Keras archive"),
        ({"runs/best.pt": b""}, "holds 'runs/best.pt', not weights that torch.save wrote; unpack"),
        ({"a/archive_format": b"pt2"}, "a torch.export program"),
    ],
)
def test_other_archives(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    zipped(tmp_path / "a.pt", members)
    assert says in refused(tmp_path / "a.pt")


def test_a_folder_of_several_processes(tmp_path: Path) -> None:
    (tmp_path / ".metadata").touch()
    assert "format_utils dcp_to_torch" in refused(tmp_path)


def sharded(folder: Path, names: Mapping[str, object], save: Callable[..., object]) -> Path:
    """Write two files, and an index with these names."""
    save({"a": torch.ones(2)}, folder / "w-00001-of-00002.bin")
    save({"b": torch.zeros(3)}, folder / "w-00002-of-00002.bin")
    index = folder / "w.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 20}, "weight_map": names}))
    return index


@pytest.mark.usefixtures("_few_networks")
@pytest.mark.parametrize("form", FORMATS)
def test_the_index_of_a_sharded_checkpoint(tmp_path: Path, form: str) -> None:
    parts = {"a": "w-00001-of-00002.bin", "b": "w-00002-of-00002.bin"}
    index = sharded(tmp_path, parts, FORMATS[form])
    assert judged(index) == (True, "None")
    same(load_state_dict(index), {"a": torch.ones(2), "b": torch.zeros(3)})
    assert "leave it out" in refused(index, sha256_of(index))
    (tmp_path / parts["b"]).unlink()
    able, why = judged(index)
    assert not able
    assert "no such file" in why


@pytest.mark.usefixtures("_few_networks")
@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"a": "w-00001-of-00002.bin", "c": "w-00002-of-00002.bin"}, "disagree about 'b'"),
        ({"a": "../w-00001-of-00002.bin"}, "is no file beside it"),
        ({"a": "w.index.json"}, "is no file beside it"),
        ({"a": "loop.bin"}, "an index among the files of an index"),
        ({"a": "code.bin"}, "would call posix.mkdir"),
        ({}, "its weight_map is empty"),
        ({"a": 3}, "a JSON text without a weight_map"),
        ([], "a JSON text without a weight_map"),
    ],
)
def test_an_index_that_is_not_followed(tmp_path: Path, names: Any, says: str) -> None:
    index = sharded(tmp_path, names, torch.save)
    (tmp_path / "loop.bin").write_bytes(index.read_bytes())
    torch.save(Payload(tmp_path / "mark"), tmp_path / "code.bin")
    able, why = judged(index)
    assert not able
    assert says in why
    assert not (tmp_path / "mark").exists()
