"""Which layer each KV head reads its keys and its values from: a plain table, no tensors, nothing compiled.

The grammar, the named routings and every sentence of an error are those of the program (docs/routing.md); a test compares
the two. One concept a file, as in src/skipattn/routing/.
"""
from .costs import Costs, Dimensions
from .plan import Group, LayerPlan, Plan, SlotPair
from .routing import Routing
from .table import Route, Source

__all__ = ["Costs", "Dimensions", "Group", "LayerPlan", "Plan", "Route", "Routing", "SlotPair", "Source"]
