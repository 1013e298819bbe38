"""This project beside its peers and the limits, in one run: `python benchmarks/speed.py`.

On the same networks and the same pixels: the FGSM sweep of eight epsilons and PGD beside foolbox's,
a clean pass over JPEG files beside the usual ImageFolder + DataLoader loop, and what forwards and
decoding alone would allow. The JPEGs are made from the packaged photographs (see corpus.py).
torchvision's networks have random weights here, the packaged ones their own. Labels are a network's
clean predictions, and the epsilons those at which 10 to 90 % of the images flip: where none or all
do, equal verdicts would say nothing.

On a GPU: `python benchmarks/speed.py --device cuda --images 50000 --batch 256
--networks resnet50 squeezenet1_1_caffe --pass-networks alexnet vgg11 inception_v3`.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from evals.classifiers.classifier import Classifier
    from evals.lanes.lane import Lane
    from evals.log import Precision
    from evals.probe import Probe

USUAL = {
    "resize": 256,
    "crop": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
INCEPTION = {**USUAL, "resize": 342, "crop": 299}
PACKAGED = ("squeezenet1_1_caffe", "efficientnet_lite0")
STEPS, SHARE = 20, 0.1


def classifier_of(name: str, device: str) -> Classifier:
    """Return a packaged classifier, or torchvision's network with seeded random weights."""
    from evals.classifiers.build import build
    from evals.classifiers.card import Card
    from evals.classifiers.registry import Registry

    if name in PACKAGED:
        return build(name, *Registry.read({}, None, Path()).card(name), download=False).to(device)
    given = INCEPTION if name == "inception_v3" else USUAL
    card = Card.model_validate(
        {"network": f"torchvision.models:{name}", "input": given, "classes": "imagenet"}
    )
    return build(name, card, Path(), download=False).to(device)


def lane_of(classifier: Classifier, forwards: int, precision: Precision, kernels: Path) -> Lane:
    """Return the path that so many forwards repay."""
    from evals.lanes.build import warm
    from evals.lanes.lane import Lane
    from evals.lanes.rule import plan_of

    device = next(classifier.network.parameters()).device
    cached = warm(kernels, classifier, precision)
    plan = plan_of(classifier.network, forwards, device, precision, warm=cached)
    return Lane(classifier, plan, kernels=kernels)


def fed(
    classifier: Classifier, folder: Path, n: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (n, 3, H, W) of the first pictures, and what the network says of them."""
    import torch

    from evals.images import sources
    from evals.images.decode import read
    from evals.images.geometry import pixels

    image_set = sources.load(str(folder), Path())
    images = image_set.images[:n]
    cut = torch.stack([pixels(read(i.path).picture, classifier.geometry) for i in images])
    x = cut.to(device).float().div(255)
    with torch.inference_mode():
        label = torch.cat([classifier.logits(part).argmax(1) for part in x.split(64)])
    return x, label.clone()


def theirs(classifier: Classifier) -> torch.nn.Module:
    """Return what a user of other tools holds: pixels in [0, 1] in, logits out."""
    import torch

    from evals.classifiers.normalise import Normalise

    return torch.nn.Sequential(Normalise(classifier.input), classifier.network)


def probe_of(classifier: Classifier, x: torch.Tensor, label: torch.Tensor, lane: Lane) -> Probe:
    """Return a fresh probe: nothing is known of the batch yet."""
    from evals.probe import Answers, Probe

    ids = tuple(map(str, range(len(x))))
    known = Answers(label, label[:, None], label.unique())
    return Probe(classifier, ids, x, known, differentiate=True, lane=lane, room=max(len(x), 32))


def sweep(probe: Probe, epsilons: Sequence[float]) -> torch.Tensor:
    """Return (e, n) who is still right: one gradient, and a forward for each epsilon."""
    from evals.attacks.signs import signed_step

    assert probe.answers is not None
    x, right = probe.pixels, probe.answers.accepted
    signs = probe.gradient.sign().contiguous()

    def stepped(epsilon: float, rows: Any) -> torch.Tensor:
        return signed_step(x[rows], signs[rows], epsilon)

    logits = probe.looks([partial(stepped, epsilon) for epsilon in epsilons], right)
    return (logits.argmax(dim=2, keepdim=True) == right).any(dim=2)


def in_turns(
    works: Sequence[Callable[[], Any]], repeats: int
) -> tuple[list[list[float]], list[Any]]:
    """Run works in turns, each once to warm up; return seconds by turn, and the last results."""
    import torch

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        started = time.perf_counter()
        found = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started, found

    found = [work() for work in works]
    turns = []
    for _ in range(repeats):
        pairs = [timed(work) for work in works]
        turns.append([pair[0] for pair in pairs])
        found = [pair[1] for pair in pairs]
    return turns, found


def ratio(turns: Sequence[Sequence[float]], mine: int) -> str:
    """Return the median and the range of the peer's seconds by ours."""
    ratios = [turn[0] / turn[mine] for turn in turns]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def attacks(name: str, folder: Path, asked: argparse.Namespace) -> None:
    """Print sweep and PGD beside foolbox's."""
    import torch
    from peers import as_loaded, flipping_epsilons, foolbox_pgd, foolbox_sweep

    from evals.attacks.attack import Draws
    from evals.attacks.balls import LinfBall
    from evals.attacks.criteria import Misclassification
    from evals.attacks.pgd import ProjectedGradientDescent
    from evals.device import numerics
    from evals.measures import fgsm

    classifier = classifier_of(name, asked.device)
    x, label = fed(classifier, folder, asked.batch, asked.device)
    network = as_loaded(theirs(classifier))
    with numerics(torch.device(asked.device), asked.precision):
        candidates = [2.0**-k for k in range(20, 1, -1)]
        epsilons = flipping_epsilons(classifier.logits, x, label, candidates)
        lane = lane_of(classifier, asked.planned, asked.precision, asked.kernels)
        while lane.fast and lane.calibrating:
            sweep(probe_of(classifier, x, label, lane), epsilons)
            lane.shown(len(x))
        middle = epsilons[len(epsilons) // 2]
        criterion = Misclassification(label, label[:, None])
        pgd = ProjectedGradientDescent(STEPS, SHARE, random_start=False)
        written = fgsm.Parameters(epsilons=tuple(epsilons))

        def ours_pgd() -> torch.Tensor:
            draws = Draws(0, ("",) * len(x))
            return ~pgd(classifier, x, criterion, LinfBall(middle), draws).ever

        turns, found = in_turns(
            [
                lambda: foolbox_sweep(network, x, label, epsilons),
                lambda: sweep(probe_of(classifier, x, label, lane), epsilons),
                lambda: fgsm.observe(probe_of(classifier, x, label, lane), written),
            ],
            asked.repeats,
        )
        both, pgds = in_turns(
            [
                lambda: foolbox_pgd(network, x, label, middle, steps=STEPS, rel_stepsize=SHARE),
                ours_pgd,
            ],
            max(1, asked.repeats // 2),
        )
    told = lane.record()
    changed = float((found[0].cpu() != found[1].cpu()).float().mean())
    flipped = 1 - found[0].float().mean(dim=1)
    seconds = statistics.median(turn[1] for turn in turns)
    print(
        f"| FGSM sweep, 8 epsilons | {name} | {len(x) / seconds:.1f} images/s | foolbox: "
        f"{ratio(turns, 1)} times; with rounding and noise beside it {ratio(turns, 2)} | "
        f"{changed:.2%} of {found[0].numel():,} verdicts ({flipped.min():.0%} to "
        f"{flipped.max():.0%} flipped) | folded {told.folded}, repeated {told.repeated} of "
        f"{told.answers}, bound {told.bound} |"
    )
    stood, mine = pgds[0].cpu(), pgds[1].cpu()
    print(
        f"| PGD, {STEPS} steps | {name} | "
        f"{len(x) / statistics.median(turn[1] for turn in both):.1f} images/s | foolbox: "
        f"{ratio(both, 1)} times | broken {int((~stood).sum())} by foolbox, "
        f"{int((~mine).sum())} by us, of {len(x)} | early stop |"
    )


def clean(names: Sequence[str], folder: Path, asked: argparse.Namespace) -> None:
    """Print a clean pass over files beside the usual loop, and beside what its parts allow."""
    import torch
    from peers import (
        as_loaded,
        decode_alone,
        decode_device_alone,
        forward_alone,
        loader_loop,
        usual_transform,
    )

    from evals.device import default_batch, numerics
    from evals.images import sources
    from evals.images.labels import targets
    from evals.measures import accuracy
    from evals.passes.walk import Station, Task, Walked, walk
    from evals.probe import answers

    device = torch.device(asked.device)
    image_set = sources.load(str(folder), Path())
    n = len(image_set.images)
    with numerics(device, asked.precision):
        stations, alone = [], []
        for name in names:
            classifier = classifier_of(name, asked.device)
            lane = lane_of(classifier, max(asked.planned, n), asked.precision, asked.kernels)
            known = answers(targets(image_set, classifier.classes))
            task = Task(accuracy.MEASURE, accuracy.Parameters(), name)
            batch = default_batch(device, classifier.geometry.area, gradients=False)
            x = torch.rand(batch, 3, *classifier.geometry.size, device=device)
            started = time.perf_counter()
            lane.see(x)
            if device.type == "cuda":
                torch.cuda.synchronize()
            warmed = time.perf_counter() - started
            alone.append(forward_alone(lane.see, x, 5))
            print(
                f"| forward alone | {name} | {alone[-1]:,.0f} images/s | | | {lane.plan.because}; "
                f"to warm {warmed:.1f} s |"
            )
            stations.append(Station(classifier, known, (task,), lane))
        area = max(s.classifier.geometry.area for s in stations)
        stamps: list[tuple[float, int]] = []

        def advance(images: int) -> None:
            stamps.append((time.perf_counter(), images))

        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            walk(
                image_set, stations, device=device, seed=0, directory=Path(place),
                batch_size=default_batch(device, area, gradients=False), advance=advance,
                walked=Walked(),
            )  # fmt: skip
            seconds = time.perf_counter() - started
        paths = [image.path for image in image_set.images[:512]]
        cores = os.cpu_count() or 1
        decode = min(
            decode_alone(paths, 1, s.classifier.geometry.resize, s.classifier.geometry.crop)
            for s in stations
        )  # a thread's images/s
        forwards = sum(1 / rate for rate in alone)
        if device.type == "cuda":
            fast = decode_device_alone(paths, device, 256)
            print(f"| decode alone, on the device | | {fast:,.0f} images/s | | | |")
            limit, said = 1 / forwards, "1 / sum of forwards"
        else:
            limit, said = 1 / (forwards + 1 / decode / cores), "1 / (forwards + decode / cores)"
        later = [stamp for stamp in stamps if stamp[0] > stamps[len(stamps) // 4][0]]
        steady = sum(images for _, images in later) / (later[-1][0] - stamps[len(stamps) // 4][0])
        print(f"| decode alone, PIL, one thread | | {decode:,.0f} images/s | | | |")
        peers = []
        for station in stations:
            classifier = station.classifier
            given = classifier.input
            transform = usual_transform(given.resize, given.crop, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
            network = as_loaded(theirs(classifier))
            limited = min(n, asked.peer_images)
            peers.append(
                loader_loop(
                    folder,
                    network,
                    transform,
                    device,
                    workers=cores,
                    batch_size=min(64, n),
                    limit=limited,
                )
            )
        loop = 1 / sum(peer.seconds / peer.images for peer in peers)
        print(
            f"| clean pass from {n:,} JPEGs | {' + '.join(names)} | {n / seconds:,.1f} images/s "
            f"(steady {steady:,.1f}) | DataLoader: {n / seconds / loop:.2f} times ({loop:,.1f} "
            f"images/s, {cores} workers) | | {n / seconds / limit:.2f} of the limit "
            f"{limit:,.1f}/s ({said}); steady {steady / limit:.2f} |"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--networks", nargs="*", default=["alexnet", "resnet18"])
    parser.add_argument("--pass-networks", nargs="*", default=None, help="together, in one pass")
    parser.add_argument("--only", choices=["attacks", "pass"])
    parser.add_argument("--images", type=int, default=512, help="JPEG files of the clean pass")
    parser.add_argument("--batch", type=int, default=32, help="images that are attacked")
    parser.add_argument("--planned", type=int, default=50_000, help="forwards to choose a path for")
    parser.add_argument("--peer-images", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--corpus", type=Path, default=Path(tempfile.gettempdir()) / "evals-corpus")
    asked = parser.parse_args()
    asked.kernels = asked.corpus / "kernels"
    from corpus import make

    folder = make(asked.corpus / str(asked.images), asked.images)
    import torch

    chip = torch.cuda.get_device_name() if asked.device != "cpu" else platform.machine()
    print(
        f"{chip}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, {asked.precision}, {asked.batch} images attacked, medians of "
        f"{asked.repeats} turns (range)\n\n"
        "| what | network | speed | peer | changed | how |\n|---|---|---|---|---|---|"
    )
    for name in asked.networks if asked.only != "pass" else ():
        attacks(name, folder, asked)
    if asked.only == "attacks":
        return
    for names in [asked.pass_networks] if asked.pass_networks else [[n] for n in asked.networks]:
        clean(names, folder, asked)


if __name__ == "__main__":
    main()
