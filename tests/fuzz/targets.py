"""What is fed: how each kind of file is made from a right one, and what reads it.

A reader returns, or raises `UserError`; anything else is a fault.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pickle
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from PIL import Image
from torch import nn

from tests import project
from tests.fuzz import mutate
from tests.fuzz.watch import Fault, obeyed
from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.engine.jobs import Catalog
from vision_evals.images import decode, sources
from vision_evals.images.geometry import Geometry, pixels
from vision_evals.images.image_set import ImageSet
from vision_evals.images.labels import class_map, targets
from vision_evals.log import frames
from vision_evals.log.tables import KEYS_OF_OLD_LOGS
from vision_evals.models.checkpoint import contents, load_state_dict
from vision_evals.models.inspection.code import code_in
from vision_evals.models.inspection.inspect_file import inspect_file
from vision_evals.models.inspection.terminal import text as inspection_text
from vision_evals.models.registry import Registry
from vision_evals.models.weights_file import examine
from vision_evals.report import files, notebook, terminal
from vision_evals.report.export import junit, markdown, mlflow
from vision_evals.report.export.annotations import commands
from vision_evals.report.remarks import remarks
from vision_evals.suite.options import read as read_options
from vision_evals.suite.suite import is_suite
from vision_evals.verdict.baseline import stored

FIXTURES = Path(__file__).parents[1] / "log_fixtures"


@dataclass(frozen=True, slots=True)
class Target:
    """One kind of input."""

    name: str
    make: Callable[[Random], bytes]
    """From a right one, by chance."""
    judge: Callable[[bytes, Path], object]
    """Read it, in an empty folder."""


@cache
def suites() -> tuple[str, ...]:
    """Return the suites that are shipped."""
    return tuple(file.read_text("utf-8") for file in sorted(data_folder("suites").glob("*.toml")))


def a_suite(rng: Random) -> bytes:
    text = rng.choice([project.SUITE, *suites()])
    if rng.random() < 0.5:  # one check, so that most changes meet something
        head, *checks = text.split("[[check]]")
        text = "[[check]]".join([head, rng.choice(checks)]) if checks else text
    return mutate.toml(rng, text).encode("utf-8", "replace")


def judge_suite(data: bytes, folder: Path) -> None:
    file = folder / "suite.toml"
    file.write_bytes(data)
    is_suite(data.decode("utf-8", "replace"))
    catalog = Catalog.read(read_options({}, folder, [file], folder))
    suite = catalog.suite(file, "suite.toml")
    for job in catalog.jobs(suite, folder):
        if obeyed(job.name):
            raise Fault(f"obeyed: {job.name!r}")


CARDS = """
[models.mine]
network = "torchvision:alexnet"
checkpoint = "mine.pt"
classes = "classes.txt"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
[models.mine.input]
resize = 256
crop = [224, 224]
interpolation = "bilinear"
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[models.mine.published]
top1_accuracy = 0.5
[models.trained]
network = "small_cnn"
[models.trained.recipe]
data = "digits"
size = 16
optimizer = { name = "sgd", lr = 0.05 }
epochs = 2
seeds = [0, 1]
"""

PYPROJECT = """
[project]
name = "x"
[tool.evals]
images = ["photographs=pictures"]
model = ["mine"]
cards = "cards.toml"
cache = ".cache"
run-dir = "runs"
seed = 3
shard = "1/2"
[tool.evals.models.other]
network = "timm:resnet18"
"""


def a_card(rng: Random) -> bytes:
    shipped = (data_folder("suites") / "cards" / "recipes.toml").read_text("utf-8")
    recipes = shipped.replace("[models.", "[models.my_")  # one name, one meaning
    return mutate.toml(rng, rng.choice([CARDS, CARDS, recipes])).encode("utf-8", "replace")


def judge_card(data: bytes, folder: Path) -> None:
    (folder / "cards.toml").write_bytes(data)
    registry = Registry.read({}, folder / "cards.toml", folder)
    for name, (card, base) in registry.cards.items():
        registry.card(name)
        if card.input is not None and base == folder:
            pixels(Image.new("RGB", (40, 30)), card.input.geometry)


def a_pyproject(rng: Random) -> bytes:
    return mutate.toml(rng, PYPROJECT).encode("utf-8", "replace")


def judge_pyproject(data: bytes, folder: Path) -> None:
    (folder / "cards.toml").write_text(CARDS, "utf-8")
    (folder / "pyproject.toml").write_bytes(data)
    Catalog.read(read_options({}, folder, [], folder))


@cache
def pictures() -> tuple[bytes, ...]:
    """Return a small picture in every format and mode that is read."""
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    grey = Image.fromarray(rng.integers(0, 65536, (24, 32), dtype=np.uint16))
    kinds: list[tuple[Image.Image, dict[str, Any]]] = [
        (picture, {"format": "JPEG"}), (picture, {"format": "JPEG", "progressive": True}),
        (picture, {"format": "PNG"}), (grey, {"format": "PNG"}),
        (picture.convert("P"), {"format": "PNG", "transparency": 3}),
        (picture.convert("P"), {"format": "GIF", "transparency": 3}),
        (picture.convert("RGBA"), {"format": "WEBP"}), (picture, {"format": "BMP"}),
        (picture, {"format": "TIFF", "compression": "tiff_lzw"}), (grey, {"format": "TIFF"}),
        (picture.convert("1"), {"format": "TIFF"}), (picture, {"format": "PPM"}),
        (picture.convert("CMYK"), {"format": "JPEG"}), (picture.convert("LA"), {"format": "PNG"}),
    ]  # fmt: skip
    return tuple(_saved(functools.partial(p.save, **options)) for p, options in kinds)


def _saved(save: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def a_picture(rng: Random) -> bytes:
    data = rng.choice(pictures())
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        return _png(rng, data)
    return mutate.data(rng, data)


def _png(rng: Random, data: bytes) -> bytes:
    """Return a PNG with another chunk, whose checksum is right."""
    whole, at, changed = data[:8], 8, rng.randrange(4)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        content = mutate.data(rng, content) if changed == 0 else content
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        whole += len(content).to_bytes(4, "big") + kind + content + check
        at, changed = at + 12 + length, changed - 1
    return whole


def judge_picture(data: bytes, folder: Path) -> None:
    picture = decode.decode(folder / "x\n::error::y.png", data).picture
    shape = pixels(picture, Geometry(16, 16, "bilinear")).shape
    if picture.mode != "RGB" or tuple(shape) != (3, 16, 16):
        raise Fault(f"{picture.mode}, {shape}")


class Payload:
    """Runs code when a pickle of it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo pwned",)


@cache
def checkpoints() -> tuple[bytes, ...]:
    """Return the weights of a small network in each format, and pickles that would run code."""
    state = dict(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)).state_dict())
    hostile = {**state, "0.bias": Payload()}
    old = {"_use_new_zipfile_serialization": False}
    return (
        safetensors.torch.save(state),
        _saved(lambda file: torch.save(state, file)),
        _saved(lambda file: torch.save({"state_dict": state, "epoch": 3}, file)),
        _saved(lambda file: torch.save(state, file, **old)),
        _saved(lambda file: torch.save(hostile, file)),
        _saved(lambda file: torch.save(hostile, file, **old)),
        pickle.dumps(hostile),
        pickle.dumps({"a": [1, 2.0, "x"] * 5}),
    )


def a_checkpoint(rng: Random) -> bytes:
    data = rng.choice(checkpoints())
    if not data.startswith(b"PK") or rng.random() < 0.2:
        return mutate.data(rng, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # else a checksum stops nearly all
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice([*members, next(name for name in members if name.endswith("data.pkl"))])
    members[name] = mutate.data(rng, members[name])
    return _saved(lambda file: _zip(file, members))


def _zip(file: io.BytesIO, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def judge_checkpoint(data: bytes, folder: Path) -> None:
    file = folder / "weights.pt"
    file.write_bytes(data)
    try:
        kind = examine(file, None)
        contents(file, kind, code_in(file, kind)[1])
    except UserError:
        found = inspect_file(file, {})  # of what can be read it builds all known networks: seconds
        if problem := obeyed(inspection_text([found], as_json=False)):
            raise Fault(problem) from None
        if found.judged:
            raise Fault("check-file says yes, judging no") from None
        raise
    state = load_state_dict(file)
    tensors = (value for value in state.values() if isinstance(value, torch.Tensor))
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise Fault("weights that are not finite")


@cache
def logs() -> tuple[Any, ...]:
    """Return real logs, and one made by hand, as JSON."""
    return tuple(
        json.loads((folder / "run.json").read_text("utf-8"))
        for folder in sorted(FIXTURES.iterdir())
    )


def a_log(rng: Random) -> bytes:
    content = rng.choice(logs())
    if rng.random() < 0.7:  # fewer parts, so that most changes meet something
        content = {**content, "items": rng.sample(content["items"], 1)}
    text = json.dumps(mutate.tree(rng, content)).encode()
    return text if rng.random() < 0.9 else mutate.data(rng, text)


def judge_log(data: bytes, folder: Path) -> None:
    for fixture in FIXTURES.iterdir():
        shutil.copytree(fixture / "tables", folder / "tables", dirs_exist_ok=True)
    (folder / "run.json").write_bytes(data)
    run = log.read(folder)
    shown = [
        terminal.table(run.items, color=False, width=100, lines=20),
        *remarks(run, verbose=True),
        notebook.text(run, folder, None, 1),
    ]
    remarked = commands(run, folder, {"GITHUB_ACTIONS": "true"}, lenient=False)
    for text in (*shown, *(command.partition("::")[2].partition("::")[2] for command in remarked)):
        if problem := obeyed(text.removesuffix("\n")):
            raise Fault(problem)
    report.render(run, folder).encode()
    markdown.render(run, "here").encode()
    log.read(log.write(run, folder))
    for item in run.items:
        junit.properties(item)
        mlflow.parameters(None, [item])
        with contextlib.suppress(UserError):
            frames.rows(run, folder, item)
    frames.metrics(run)
    mlflow.named(mlflow.settings(run) | mlflow.tags(run, run.items))
    mlflow.metrics(run.items)
    with contextlib.suppress(UserError):
        frames.images(run, folder)
    stored.load(str(folder), folder)


@cache
def tables() -> tuple[bytes, ...]:
    """Return tables of rows as a run writes them."""
    return tuple(file.read_bytes() for file in sorted(FIXTURES.glob("*/tables/*.parquet")))


def a_table(rng: Random) -> bytes:
    data = rng.choice(tables())
    if rng.random() < 0.3:
        return mutate.data(rng, data)
    table = pq.read_table(io.BytesIO(data)).to_pandas()
    column = rng.choice(list(table.columns))
    match rng.randrange(7):
        case 0:
            table = table.drop(columns=column)
        case 1:
            table = pd.concat([table, table.iloc[rng.randrange(len(table)) :]])
        case 2:
            table = table.iloc[: rng.randrange(len(table) + 1)]
        case 3:
            table[column] = rng.choice([*mutate.NUMBERS[:10], None, "x", "\x1b[2J"])
        case 4:
            table = table.rename(columns={column: rng.choice(["image", "x", "label"])})
        case 5:
            table[column] = [[rng.choice([0, -1, 10**6, None])] for _ in range(len(table))]
        case 6:
            table["image"] = "x\n::error::y"
    with contextlib.suppress(pa.ArrowException, ValueError, OverflowError, TypeError):
        return _saved(lambda file: table.to_parquet(file, index=False))
    return mutate.data(rng, data)


def judge_table(data: bytes, folder: Path) -> None:
    """Read rows in place of those of a run, where they are shown, exported and held as baseline."""
    shutil.copytree(FIXTURES / "gate", folder / "run")
    run = log.read(folder / "run")
    for item in run.items:
        if item.table is not None:
            (folder / "run" / item.table).write_bytes(data)
    for item in run.items:
        with contextlib.suppress(files.Missing):
            files.rows(
                folder / "run", item.table or "", [picture.image for picture in item.pictures]
            )
    held = stored.load(str(folder / "run"), folder)
    for item in run.items:
        with contextlib.suppress(UserError):
            frames.rows(run, folder / "run", item)
        rows = stored.read_rows(held, item)
        keys = [key for key in item.keys or KEYS_OF_OLD_LOGS if key in rows]
        if "image" in rows and rows.duplicated(keys).any():
            raise Fault("rows twice")


MANIFEST = (
    'path,label,id,accepted\nred/0.png,red,a,\nred/1.png,red,b,"green|blue"\nblue/0.png,blue,c,\n'
)
ART = """
about = "x"
[[work]]
file = "red/0.png"
title = "One"
artist = "A"
year = "1500"
label = "red"
source = "s"
licence = "l"
"""
CLASSES = ("red\ngreen\nblue\n", "index,name,synset\n0,red,n01\n1,green,n02\n2,blue,n03\n")
KINDS = ("manifest.csv", "classes.txt", "classes.csv", "art.toml", "images.toml")


def a_list(rng: Random) -> bytes:
    kind = rng.choice(KINDS)
    texts = (MANIFEST, *CLASSES, ART, 'sample_of = "imagenet"\n')
    text = texts[KINDS.index(kind)]
    if kind.endswith("toml"):
        changed = mutate.toml(rng, text)
    else:
        cells = text.replace("\n", "\n,").split(",")
        for _ in range(rng.randint(0, 3)):
            cells[rng.randrange(len(cells))] = rng.choice(mutate.TEXTS)
        changed = ",".join(cells).replace("\n,", "\n")
    content = changed.encode("utf-8", "surrogatepass")
    return kind.encode() + b"\n" + (content if rng.random() < 0.7 else mutate.data(rng, content))


def judge_list(data: bytes, folder: Path) -> None:
    kind, _, content = data.partition(b"\n")
    project.pictures(folder / "set", 2, (8, 8))
    file = folder / "set" / kind.decode()
    file.write_bytes(content)
    name = "set" if kind.endswith(b".toml") else f"set/{kind.decode()}"
    if kind.startswith(b"classes"):
        class_map(name, folder)
    else:
        _held(sources.load(name, folder))


def _held(images: ImageSet) -> None:
    """Require what every set of images promises: each id once, labels for all or none."""
    ids = [image.id for image in images.images]
    if len(set(ids)) != len(ids) or len(ids) != images.total:
        raise Fault("ids twice, or images lost")
    if images.labels:
        with contextlib.suppress(UserError):
            found = targets(images, class_map("imagenet", Path()))
            if len(found.label) != len(ids):
                raise Fault("labels lost")


def a_name(rng: Random) -> bytes:
    names = [rng.choice([*mutate.TEXTS, "red", "0", "n01440764"]) for _ in range(4)]
    return "\0".join(name.replace("\0", "") for name in names).encode("utf-8", "surrogatepass")


def judge_name(data: bytes, folder: Path) -> None:
    """Read pictures below folders of any name, and require each to be there once."""
    made = set()
    for name in filter(None, map(os.fsdecode, data.split(b"\0"))):
        place = folder / "set" / name.replace("/", "_")[:50] / f"{name.replace('/', '-')[:50]}.png"
        if not place.parent.name.startswith(".") and not place.name.startswith("."):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(pictures()[2])
            made.add(place)
    images = sources.load("set", folder)
    if {image.path for image in images.images} != made:
        raise Fault(f"{len(images.images)} of {len(made)} pictures")
    _held(images)


TARGETS = (
    Target("suite", a_suite, judge_suite),
    Target("card", a_card, judge_card),
    Target("pyproject", a_pyproject, judge_pyproject),
    Target("picture", a_picture, judge_picture),
    Target("checkpoint", a_checkpoint, judge_checkpoint),
    Target("log", a_log, judge_log),
    Target("table", a_table, judge_table),
    Target("list", a_list, judge_list),
    Target("name", a_name, judge_name),
)
