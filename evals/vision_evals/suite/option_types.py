"""What an option's value may be, where a plain type does not say it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vision_evals.core.paths import run_name
from vision_evals.core.time_limit import limit_of
from vision_evals.core.worker import Partition
from vision_evals.log import Depth, Precision

__all__ = ["Choice", "Count", "Depth", "Part", "Pictures", "Precision", "RunId", "Seconds", "Seed"]

Choice = Literal["fail", "skip"]
Count = Annotated[int, Field(ge=1)]
Part = Annotated[str, AfterValidator(lambda text: str(Partition.parse(text)))]
Pictures = Annotated[int, Field(ge=0, le=8)]
RunId = Annotated[str, AfterValidator(run_name)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(limit_of)]
Seed = Annotated[int, Field(ge=0)]
