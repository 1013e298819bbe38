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
import tempfile
from pathlib import Path

from attacked import attacks
from corpus import make
from passed import clean


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
