"""One name, one meaning."""

import subprocess
import sys
from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.models.card import Card
from vision_evals.models.registry import PACKAGED, Registry
from vision_evals.models.request import Request, parse_request, unique

INPUT = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
CARD = {"network": "nets:build", "input": INPUT}
CARDS_FILE = """\
[models.mine]
network = "torchvision:alexnet"
"""


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("alexnet", Request("alexnet", "alexnet", None)),
        ("a=alexnet", Request("a", "alexnet", None)),
        ("timm:resnet50.a1_in1k", Request("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k", None)),
        ("alexnet@x.pt", Request("alexnet", "alexnet", Path("/base/x.pt"))),
        ("a=alexnet@runs/lr=0.1@2.pt", Request("a", "alexnet", Path("/base/runs/lr=0.1@2.pt"))),
        ("alexnet@lr=0.1.pt", Request("alexnet", "alexnet", Path("/base/lr=0.1.pt"))),
        ("alexnet@/abs/x.pt", Request("alexnet", "alexnet", Path("/abs/x.pt"))),
        ("alexnet@~/x.pt", Request("alexnet", "alexnet", Path.home() / "x.pt")),
    ],
)
def test_requests(text: str, request_: Request) -> None:
    assert parse_request(text, Path("/base")) == request_


@pytest.mark.parametrize("text", ["", "=", "a=", "=alexnet", "a b", "a[b]", "runs/x.pt", "@x", "ä"])
def test_requests_that_cannot_stand_in_a_test_id(text: str) -> None:
    with pytest.raises(UserError, match="must be made of letters") as raised:
        parse_request(text, Path())
    assert "[ALIAS=]NAME[@PATH]" in str(raised.value)


def test_a_request_without_its_path() -> None:
    with pytest.raises(UserError, match="no path after"):
        parse_request("alexnet@", Path())


def test_equal_aliases_are_refused_with_the_repair() -> None:
    requests = [parse_request(text, Path("runs")) for text in ("alexnet", "alexnet@b.pt")]
    with pytest.raises(UserError) as raised:
        unique(requests)
    assert str(raised.value) == (
        'two classifiers are called "alexnet": alexnet and alexnet@runs/b.pt; '
        "name one of them with ALIAS=alexnet@runs/b.pt"
    )
    different = [requests[0], parse_request("b=alexnet@b.pt", Path("runs"))]
    assert unique(different) == tuple(different)


def test_where_names_come_from(tmp_path: Path) -> None:
    file = tmp_path / "cards" / "cards.toml"
    file.parent.mkdir()
    file.write_text(CARDS_FILE)
    registry = Registry.read({"other": CARD}, file, tmp_path)
    recipes = Registry.read({}, None, tmp_path).cards
    assert all(card.recipe is not None for card, _ in recipes.values())
    assert registry.names() == ("other", "mine", *recipes, *PACKAGED)
    assert registry.card("mine") == (Card(network="torchvision:alexnet"), file.parent)
    assert registry.card("other")[1] == tmp_path
    for name, network in {
        "alexnet": "torchvision:alexnet",
        "torchvision:alexnet": "torchvision:alexnet",
        "efficientnet_lite0": "packaged:efficientnet_lite0",
        "packaged:efficientnet_lite0": "packaged:efficientnet_lite0",
        "timm:resnet50.a1_in1k": "timm:resnet50.a1_in1k",
    }.items():
        assert registry.card(name)[0] == Card(network=network)


@pytest.mark.parametrize("name", ["squeezenet1_1_caffe", "alexnet"])
def test_a_card_cannot_take_a_name(name: str) -> None:
    with pytest.raises(UserError, match="one name, one meaning") as raised:
        Registry.read({name: CARD}, None, Path()).card(name)
    assert f"[models.my_{name}]" in str(raised.value)


def test_a_name_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "cards.toml").write_text(CARDS_FILE)
    with pytest.raises(UserError, match=r"both pyproject.toml and .*cards.toml"):
        Registry.read({"mine": CARD}, tmp_path / "cards.toml", tmp_path)


def test_unknown_names_suggest() -> None:
    registry = Registry.read({"my_net": CARD}, None, Path())
    for wrong, right in {
        "alexnt": "alexnet",
        "my_nett": "my_net",
        "efficientnet_lite": "efficientnet_lite0",
        "torchvision:alexnt": "alexnet",
        "packaged:efficientnet_lite": "efficientnet_lite0",
        "quantized_resnet18": "resnet18",
    }.items():
        with pytest.raises(UserError, match=f'"{wrong}".*did you mean.*"{right}"'):
            registry.card(wrong)


def test_guessing_preprocessing_is_refused_with_a_card_to_copy() -> None:
    with pytest.raises(UserError) as raised:
        Registry().card("my_package.nets:build")
    message = str(raised.value)
    assert "not how to feed it" in message
    snippet = message[message.index("[models.") :]
    import tomllib

    [(name, table)] = tomllib.loads(snippet)["models"].items()
    card, _ = Registry.read({name: table}, None, Path()).card(name)
    assert card.network == "my_package.nets:build"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[models.mine]\nnetwork = \n", "line 2"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[model.mine]\nnetwork = 'timm:x'\n", 'unknown table "model"; did you mean "models"?'),
        (b"models = 3\n", "must be tables"),
        (b"[models.mine]\n", '"network" is missing'),
    ],
)
def test_cards_files_that_cannot_be_read(tmp_path: Path, text: bytes, says: str) -> None:
    file = tmp_path / "cards.toml"
    file.write_bytes(text)
    with pytest.raises(UserError) as raised:
        Registry.read({}, file, tmp_path)
    assert str(raised.value).startswith(str(file))
    assert says in str(raised.value)


def test_a_missing_cards_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such cards file"):
        Registry.read({}, tmp_path / "cards.toml", tmp_path)


def test_cards_and_names_need_no_torch() -> None:
    code = (
        "import sys, vision_evals.models.card, vision_evals.models.registry; "
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
