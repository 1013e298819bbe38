"""The scripts of a page, and the policy by which a browser runs these and no others."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import re
from html import unescape
from importlib.metadata import version
from pathlib import Path

from vision_evals.core.paths import user_cache, whole_file

SNIPPET = "window.vegaEmbed = vegaEmbed;"
"""All that our script needs of them."""

_META = re.compile(r'<meta http-equiv="Content-Security-Policy" content="([^"\r\n]*)">')


@functools.cache
def vega() -> str:
    """Return Vega-Lite with all it needs, as one script without imports.

    It takes more than a second to build, so it is kept in the user's cache.
    """
    cached = _file()
    if cached is not None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return _checked(cached.read_bytes().decode("utf-8"))
    import vl_convert  # a page without charts does without

    bundle = _checked(vl_convert.javascript_bundle(SNIPPET))
    if cached is not None:
        with contextlib.suppress(OSError), whole_file(cached) as partial:
            partial.write_bytes(bundle.encode("utf-8"))
    return bundle


def _file() -> Path | None:
    """Return where the script is kept; None for a user without a home."""
    digest = hashlib.sha256(SNIPPET.encode("utf-8")).hexdigest()[:8]
    name = f"vega-{version('vl-convert-python')}-{digest}.js"
    try:
        return user_cache() / "scripts" / name
    except RuntimeError:
        return None


def _checked(bundle: str) -> str:
    if "</script" in bundle.lower():  # it would end the element it stands in
        raise AssertionError("the script of vl-convert holds the end of a script element")
    return bundle


def policy(style: str, *scripts: str, images: str = "data:") -> str:
    """Return the Content-Security-Policy of a page that loads nothing from outside.

    Args:
        style: text of its one style element.
        scripts: texts of its script elements that run; those of JSON are no scripts.
        images: where pictures may come from.
    """
    rules = {
        "default-src": "'none'",
        "img-src": images,
        "style-src": _hash(style),
        "script-src": " ".join(map(_hash, scripts)),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def policy_of(html: str) -> str:
    """Return the policy that a page states; the strictest for a page that states none."""
    match = _META.search(html)
    return "default-src 'none'" if match is None else unescape(match[1])


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
