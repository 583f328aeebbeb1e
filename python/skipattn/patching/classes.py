"""The classes of patched models: each is a subclass of the class of Transformers that it was, made when first needed.

They can be pickled: a process that has not made one yet finds it here by its name, e.g. RoutedLlamaForCausalLM.
"""
from __future__ import annotations

import functools
import inspect

from transformers import AutoConfig, AutoModelForCausalLM

from . import gpt2, llama
from .causal_lm import RoutedCausalLM
from .decoder import decoder_forward
from .families import FAMILIES, Family, family_of_part


def kind_of(family: Family):
    """The module that knows the family's layers."""
    return gpt2 if family.name == "gpt2" else llama


def _named(base: type, args: tuple) -> dict:
    """Arguments given by place, under the names that the family's forward has for them."""
    return dict(zip(list(inspect.signature(base.forward).parameters)[1:], args)) if args else {}


def _make(base: type, mixins: tuple[type, ...] = (), **members) -> type:
    name = "Routed" + base.__name__
    made = type(name, (*mixins, base), {"__module__": __name__, "__qualname__": name, "__doc__": base.__doc__, **members})
    globals()[name] = made
    return made


@functools.cache
def layer_class(family: Family) -> type:
    # Transformers wraps a layer's forward for checkpointing when the class is made.
    return _make(family.get(family.layer), forward=kind_of(family).layer_forward)


@functools.cache
def attention_class(family: Family) -> type:
    return _make(family.get(family.attention), forward=kind_of(family).attention_forward)


@functools.cache
def decoder_class(family: Family) -> type:
    base = family.get(family.decoder)

    @functools.wraps(base.forward)
    def forward(self, *args, **kwargs):
        return decoder_forward(self, **_named(base, args), **kwargs)

    return _make(base, forward=forward, kind=kind_of(family))


@functools.cache
def config_class(family: Family) -> type:
    """The family's configuration and "kv_routing"; its model_type keeps Transformers from taking it for an unpatched one."""
    base = family.get(family.causal_lm).config_class
    return _make(base, model_type="skipattn_" + base.model_type, kv_routing="baseline", __annotations__={"kv_routing": str})


@functools.cache
def causal_lm_class(family: Family) -> type:
    base = family.get(family.causal_lm)

    # Trainer and generate() read the names of arguments from the signature, which stays the family's.
    @functools.wraps(base.forward)
    def forward(self, *args, **kwargs):
        kwargs.update(_named(base, args))
        if kwargs.get("labels") is not None and self.fused_loss and self.training and self.can_fuse():
            return self.fused_forward(**kwargs)
        return base.forward(self, **kwargs)

    config = config_class(family)
    made = _make(base, (RoutedCausalLM,), forward=forward, config_class=config, skipattn_family=family)
    AutoConfig.register(config.model_type, config, exist_ok=True)  # so that pipelines and Auto classes know it from now on
    AutoModelForCausalLM.register(config, made, exist_ok=True)
    return made


def __getattr__(name: str) -> type:
    """Makes the class that a pickle names."""
    found = family_of_part(name.removeprefix("Routed"))
    if found is None and name.startswith("Routed"):
        for family in FAMILIES:
            if "Routed" + family.get(family.causal_lm).config_class.__name__ == name:
                return config_class(family)
    if found is None or not name.startswith("Routed"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    family, field = found
    return globals()[f"{field}_class"](family)
