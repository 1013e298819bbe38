"""The report says by which path forwards were computed, and how far it was from the plain one."""

from __future__ import annotations

from vision_evals.log import FastPath, PassRecord
from vision_evals.report.timing import timing


def said(**fast_path: object) -> str:
    known = {"classifier": "net", "precision": "fp32", "layout": "channels_last", "because": "few"}
    pass_record = PassRecord(
        images="photographs", n=1, seconds=1, decode_seconds=0, wait_seconds=0, forward_seconds=1,
        rows_seconds=0, fast_paths=(FastPath.model_validate({**known, **fast_path}),),
    )  # fmt: skip
    (path,) = timing(pass_record).paths
    return path


def test_the_plain_path() -> None:
    assert said() == "net: fp32, channels last"


def test_a_fast_path_with_what_was_measured() -> None:
    assert said(
        precision="bf16", folded=49, compiled=True, images=256, logit_error=0.71, bound=2.1,
        answers=1420, repeated=141, rechecked=12,
    ) == (
        "net: bf16, channels last, 49 batch norms folded, compiled; on 256 images logits differ by "
        "up to 0.71 from the plain path's; 141 of 1,420 later answers were close and repeated, 0 "
        "of 12 others that were looked at again changed"
    )  # fmt: skip


def test_a_path_that_was_given_up() -> None:
    path = said(refused="not finite", logit_error=None)
    assert path.endswith("; plain path, because the faster path was refused: not finite")
