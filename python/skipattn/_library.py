"""Finds and loads the shared library of the compiled operator, once, when the package is imported.

The library registers skipattn::routed_attention with torch's dispatcher; there is nothing else to bind. It is built for
one torch (its C++ interface differs from version to version), which the file beside it names.
"""
from __future__ import annotations

import json
import os
import pathlib
import warnings

import torch

_FOLDER = pathlib.Path(__file__).parent
_NAME = "libskipattn_operator.so"


def _major_minor(version: str) -> str:
    return ".".join(version.split("+")[0].split(".")[:2])


def _why_not_loaded() -> str | None:
    """Loads the library; None when that worked, else the reason in words."""
    path = pathlib.Path(os.environ.get("SKIPATTN_OPERATOR") or _FOLDER / _NAME)
    if not path.exists():
        return f"{path.name} was not built (no C++ compiler when it was installed?)"
    built_for = path.with_suffix(".json")
    if built_for.exists():
        version = json.loads(built_for.read_text())["torch"]
        if _major_minor(version) != _major_minor(torch.__version__):
            return f"{path.name} was built for torch {version}, and this is torch {torch.__version__}"
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        return f"{path.name} cannot be loaded: {error}"
    return None


_reason = _why_not_loaded()
if _reason is not None:
    warnings.warn(f"skipattn runs on plain torch operations, which are slow: {_reason}; "
                  "`pip install --force-reinstall --no-deps` of skipattn builds it again", RuntimeWarning, stacklevel=3)


def has_compiled_operator() -> bool:
    """True when the compiled operator is loaded; else plain torch operations serve every call."""
    return _reason is None
