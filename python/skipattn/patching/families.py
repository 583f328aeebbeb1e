"""The classes of Transformers that can be patched: what they are called, and what differs between them."""
from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Family:
    """One family of Transformers' classes."""

    name: str          #: its folder under transformers.models
    causal_lm: str     #: the class that patch() takes
    decoder: str       #: the classes inside
    layer: str
    attention: str
    model_type: str = ""   #: of its configuration; the name when empty
    windows: str = ""      #: "every": config.sliding_window holds in every layer; else each layer says

    def module(self) -> ModuleType:
        return importlib.import_module(f"transformers.models.{self.name}.modeling_{self.name}")

    def get(self, class_name: str) -> type:
        return getattr(self.module(), class_name)


def _like_llama(name: str, prefix: str, **others) -> Family:
    return Family(name, f"{prefix}ForCausalLM", f"{prefix}Model", f"{prefix}DecoderLayer", f"{prefix}Attention", **others)


FAMILIES = (
    Family("gpt2", "GPT2LMHeadModel", "GPT2Model", "GPT2Block", "GPT2Attention"),
    _like_llama("llama", "Llama"),
    _like_llama("mistral", "Mistral", windows="every"),
    _like_llama("qwen2", "Qwen2"),
    _like_llama("qwen3", "Qwen3"),
    _like_llama("gemma", "Gemma"),
    _like_llama("gemma2", "Gemma2"),
    Family("gemma3", "Gemma3ForCausalLM", "Gemma3TextModel", "Gemma3DecoderLayer", "Gemma3Attention", "gemma3_text"),
)


def family_of_class(cls: type) -> Family | None:
    """The family whose causal language model this very class is."""
    for family in FAMILIES:
        if cls.__name__ == family.causal_lm and cls.__module__ == f"transformers.models.{family.name}.modeling_{family.name}":
            return family
    return None


def family_of_type(model_type: str) -> Family | None:
    """The family whose configurations have this model_type."""
    return next((family for family in FAMILIES if (family.model_type or family.name) == model_type), None)


def family_of_part(name: str) -> tuple[Family, str] | None:
    """The family and the field that names this class."""
    for family in FAMILIES:
        for field in ("causal_lm", "decoder", "layer", "attention"):
            if getattr(family, field) == name:
                return family, field
    return None
