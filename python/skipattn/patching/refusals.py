"""What cannot be patched, each as one sentence that says why."""
from __future__ import annotations

import torch
from torch import nn

from .families import FAMILIES, Family, family_of_class

_DTYPES = (torch.float32, torch.bfloat16, torch.float64)


def check_model(model: nn.Module) -> Family:
    """The family of a model that can be patched; ValueError (TypeError for what is no such model) otherwise."""
    family = _check_class(model)
    _check_version()
    for index, layer in enumerate(_layers(model, family)):
        _check_layer(layer, index, family)
    _check_hooks(model)
    _check_config(model.config)
    _check_parameters(model)
    wanted = model.generation_config.cache_implementation if model.generation_config is not None else None
    if wanted not in (None, "dynamic"):
        raise ValueError(f"patch: generation_config.cache_implementation is {wanted!r}, a cache that has a slot for every head; "
                         "set it to None, a patched model brings its own")
    return family


def check_options(model: nn.Module, lend: str, fused_loss: bool) -> None:
    """The other arguments of patch()."""
    if lend not in ("keep", "average"):
        raise ValueError(f"patch: lend must be 'keep' or 'average', got {lend!r}")
    if fused_loss:
        check_fused_loss(model)


def check_fused_loss(model: nn.Module) -> None:
    cap = getattr(model.config, "final_logit_softcapping", None)
    if cap is not None:
        raise ValueError(f"patch: fused_loss=True needs plain logits, and this model caps them (final_logit_softcapping = {cap}); "
                         "leave fused_loss out")
    head = model.lm_head
    if type(head) is not nn.Linear or head.bias is not None:
        raise ValueError("patch: fused_loss=True needs a vocabulary head that is a linear layer without bias, got "
                         f"{type(head).__name__}; leave fused_loss out")


def _check_class(model: nn.Module) -> Family:
    if hasattr(type(model), "skipattn_family"):
        raise ValueError(f"patch: this model has been patched, with {model.config.kv_routing}; load it anew for another routing")
    family = family_of_class(type(model))
    if family is not None:
        return family
    known = ", ".join(family.causal_lm for family in FAMILIES)
    if hasattr(model, "peft_config") or type(model).__module__.startswith("peft"):
        raise ValueError(f"patch: {type(model).__name__} wraps a model with adapters; patch the model first, then add them")
    kind = ValueError if isinstance(model, nn.Module) else TypeError
    raise kind(f"patch: {type(model).__name__} is not one of the classes that can be patched, {known}")


def _check_version() -> None:
    import transformers
    if int(transformers.__version__.split(".")[0]) < 5:
        raise ValueError(f"patch: needs Transformers 5 or later, this is {transformers.__version__}; "
                         "`skipattn convert --format hf` makes folders that Transformers 4.50 opens")


def _layers(model: nn.Module, family: Family):
    from .classes import kind_of
    return kind_of(family).layers_of(model.base_model)


def _check_layer(layer: nn.Module, index: int, family: Family) -> None:
    from transformers.pytorch_utils import Conv1D

    from .classes import kind_of
    if type(layer) is not family.get(family.layer):
        raise ValueError(f"patch: layer {index} is a {type(layer).__name__}, not the {family.layer} of its class; patch before "
                         "wrapping or replacing layers")
    for name, projection in kind_of(family).projections_of(kind_of(family).attention_of(layer)).items():
        if type(projection) not in (nn.Linear, Conv1D):
            raise ValueError(f"patch: {name} of layer {index} is a {type(projection).__name__}, of which heads cannot be dropped; "
                             "patch before quantizing or adding adapters")


def _check_hooks(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if "forward" in vars(module):
            raise ValueError(f"patch: {name or 'the model'} has had its forward replaced (accelerate does that for a device_map of "
                             "several devices); patch before that, and give from_pretrained() of a patched folder the device_map")


def _check_config(config) -> None:
    if getattr(config, "add_cross_attention", False):
        raise ValueError("patch: the configuration has add_cross_attention = True, and only decoders alone can be patched")
    if getattr(config, "use_bidirectional_attention", False):
        raise ValueError("patch: the configuration has use_bidirectional_attention = True, and routed attention is causal")


def _check_parameters(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if type(parameter.data).__name__ == "DTensor" or hasattr(parameter, "device_mesh"):
            raise ValueError(f"patch: {name} is split over several devices (tensor parallel); patch a whole model")
        if parameter.dtype not in _DTYPES:
            raise ValueError(f"patch: {name} is {str(parameter.dtype).removeprefix('torch.')}, and routed attention computes in "
                             "float32, bfloat16 or float64; load the model with dtype=torch.bfloat16")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError("patch: the model has no weights yet (they are on the meta device); load them first")
