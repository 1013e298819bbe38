"""The first import of a heavy library, without garbage collections over what it makes."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def first_import_of(library: str) -> Iterator[None]:
    """Import in the block; nothing is different where the library is there already.

    The modules of torch hold hundreds of thousands of objects that live to the end. To look for
    garbage among them takes a second of CPU while they are made, and as much again at the end of
    pytest and of the process. From the end of the block no collection looks at what lives then.
    """
    if library in sys.modules:
        yield
        return
    enabled = gc.isenabled()
    gc.collect()  # what is garbage by now must not stay
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
