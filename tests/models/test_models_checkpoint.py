"""No file of weights runs code or is silently wrong, and each mistake is named."""

import itertools
import os
import pickle
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from vision_evals.core.errors import UserError
from vision_evals.models.checkpoint import load_state_dict
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
    assert str(raised.value).startswith(str(file))
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
