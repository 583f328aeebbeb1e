"""Attention heads that read their keys and values from any layer, for PyTorch.

    import skipattn
    output = skipattn.routed_attention(query, [own_kv, skipped_kv], routes)   # the operator
    routing = skipattn.Routing.parse("sla(distance=9, heads=9)", layers=12, kv_heads=12)

docs/python.md is the guide. Importing works without the compiled operator too: plain torch operations serve then, and a
warning says so.
"""
from ._library import has_compiled_operator
from .attention import routed_attention
from .reference import routed_attention_reference
from .routing import Routing

__version__ = "0.1.0"
__all__ = ["Routing", "has_compiled_operator", "routed_attention", "routed_attention_reference"]
