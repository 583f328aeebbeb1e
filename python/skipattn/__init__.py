"""Attention heads that read their keys and values from any layer, for PyTorch.

    import skipattn
    output = skipattn.routed_attention(query, [own_kv, skipped_kv], routes)   # the operator
    routing = skipattn.Routing.parse("sla(distance=9, heads=9)", layers=12, kv_heads=12)
    skipattn.patch(model, "sla(distance=9, heads=9)")                         # a model of Transformers, in place

docs/python.md is the guide. Importing works without the compiled operator too: plain torch operations serve then, and a
warning says so.
"""
from . import nn
from ._library import has_compiled_operator
from .attention import routed_attention
from .cross_entropy import linear_cross_entropy
from .reference import routed_attention_reference
from .routing import Routing

__version__ = "0.1.0"
_PATCHING = ("conversion_losses", "from_pretrained", "patch")  # these need Transformers, which is imported when asked for
__all__ = ["Routing", "has_compiled_operator", "linear_cross_entropy", "nn", "routed_attention", "routed_attention_reference",
           *_PATCHING]


def __getattr__(name: str):
    if name in _PATCHING:
        from . import patching
        return getattr(patching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
