"""The base class of the log's records, and words that they share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["fp32", "tf32", "bf16"]
"""Of convolutions and matrix products."""

Depth = Literal["cheap", "thorough"]
"""Which validity checks run: cheap ones always, thorough ones on request."""

Status = Literal["running", "finished", "interrupted"]
"""``running`` in a finished process means that it was killed."""


class Record(BaseModel):
    """Frozen, strict about its keys, and documented by the strings below its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
