"""torchvision works as ever, and torch's compiler is imported by its first use."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from vision_evals.images.light_torchvision import models
import torch
from torchvision.ops import roi_align
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
boxes = torch.tensor([[0, 0.0, 0, 4, 4]])
plane = torch.arange(64.0).reshape(1, 1, 8, 8)
assert roi_align(plane, boxes, 1, aligned=True).item() == plane[0, 0, :4, :4].mean()
from torchvision.ops.roi_align import is_compile_supported
late = is_compile_supported("cpu")
from torch._dynamo import utils
assert sys.modules["torch._dynamo.utils"] is utils is torch._dynamo.utils
assert utils.is_compile_supported("cpu") is late
assert torch.compile(models.squeezenet1_1().eval(), backend="eager")(torch.ones(1, 3, 64, 64)).shape
"""

AFTER = """
import torch._dynamo.utils as utils
from vision_evals.images import light_torchvision
from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported is utils.is_compile_supported
"""


def test_the_compiler_is_imported_by_its_first_use() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_a_compiler_that_is_there_is_used() -> None:
    subprocess.run([sys.executable, "-c", AFTER], check=True)
