"""Making a model a patched one: its classes, what each layer reads, and the projections that go."""
from __future__ import annotations

import copy

from torch import nn

from ..nn.lending import reads_of
from ..routing import Routing
from .cache import reaches_of
from .classes import attention_class, causal_lm_class, config_class, decoder_class, kind_of, layer_class
from .families import Family


def shape_of(config) -> dict[str, int]:
    """The layers and KV heads of a configuration, as Routing.parse() takes them."""
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return {"layers": config.num_hidden_layers, "kv_heads": heads}


def install(model: nn.Module, routing: str) -> None:
    """Patches a model whose class is a patched one already: layers, plan, projections."""
    family = type(model).skipattn_family
    plan = Routing.parse(routing, **shape_of(model.config)).plan()
    use_classes(model, family)
    use_plan(model, family, plan)
    drop_dead(model, family, plan)


def use_classes(model: nn.Module, family: Family) -> list[tuple[nn.Module, type]]:
    """Gives the decoder and its layers their patched classes; returns what they were."""
    kind, decoder = kind_of(family), model.base_model
    changes = [(decoder, decoder_class(family))]
    for layer in kind.layers_of(decoder):
        changes += [(layer, layer_class(family)), (kind.attention_of(layer), attention_class(family))]
    were = [(module, type(module)) for module, _ in changes]
    set_classes(changes)
    return were


def set_classes(classes: list[tuple[nn.Module, type]]) -> None:
    for module, cls in classes:
        module.__class__ = cls


def use_plan(model: nn.Module, family: Family, plan) -> None:
    """Tells the decoder and its layers what they read. A routing narrows a model's own windows, never widens them."""
    kind, decoder = kind_of(family), model.base_model
    windows = []
    for index, layer in enumerate(kind.layers_of(decoder)):
        attention, live = kind.attention_of(layer), plan.layers[index]
        both = [window for window in (_own_window(attention, family), live.window) if window]
        attention.window = min(both, default=0)
        attention.reads = reads_of(plan, index)
        attention.live = [len(live.live_keys), len(live.live_values)]
        windows.append(attention.window)
    decoder.plan, decoder.reaches = plan, reaches_of(plan, windows)
    for owner in (model, decoder):  # accelerate keeps a layer on one device by its class's name
        owner._no_split_modules = {*(owner._no_split_modules or ()), layer_class(family).__name__}


def _own_window(attention: nn.Module, family: Family) -> int:
    window = attention.config.sliding_window if family.windows == "every" else getattr(attention, "sliding_window", None)
    return window or 0


def drop_dead(model: nn.Module, family: Family, plan) -> None:
    """Drops the projections of heads that nobody reads."""
    kind = kind_of(family)
    for layer, live in zip(kind.layers_of(model.base_model), plan.layers, strict=True):
        kind.keep_heads(kind.attention_of(layer), list(live.live_keys), list(live.live_values))


def become_routed(model: nn.Module, family: Family, routing: str) -> None:
    """Gives the model its patched class, and a configuration of its own that holds the routing."""
    old, new = model.config, copy.deepcopy(model.config)
    new.__class__ = config_class(family)
    new.kv_routing = routing
    for module in model.modules():
        if getattr(module, "config", None) is old:
            module.config = new
    model.__class__ = causal_lm_class(family)
