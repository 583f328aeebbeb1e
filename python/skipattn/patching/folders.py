"""Opening the folders of patched models: what save_pretrained() wrote, and what the program makes."""
from __future__ import annotations

from torch import nn
from transformers import PretrainedConfig

from .classes import causal_lm_class
from .families import FAMILIES, family_of_type
from .refusals import check_fused_loss

#: Keys of models that the program has and no class of Transformers.
_MIXTURES = ("n_kv_head", "windowed_layers", "qkv_bias", "output_bias", "query_key_norm")


def from_pretrained(path: str, *, fused_loss: bool = False, **kwargs) -> nn.Module:
    """A patched model from a folder (or a name on the hub): what save_pretrained() of one wrote, or `skipattn train` and
    `skipattn convert` did.

    Args:
        path: the folder; its config.json holds the routing as "kv_routing".
        fused_loss: as for patch(); it is not saved.
        kwargs: what Transformers' from_pretrained() takes, such as dtype and device_map.
    """
    found, _ = PretrainedConfig.get_config_dict(path)
    given = found.get("model_type", "")
    family = family_of_type(given.removeprefix("skipattn_"))
    if family is None:
        known = ", ".join(family.model_type or family.name for family in FAMILIES)
        raise ValueError(f"from_pretrained: {path} has model_type {given!r}; patched models are of {known}")
    if "kv_routing" not in found:
        raise ValueError(f"from_pretrained: {path} has no kv_routing in its config.json; open it with Transformers and patch() it")
    mixture = [key for key in _MIXTURES if key in found] + ["bias"] * (found.get("bias") is False)
    if given == "skipattn_llama" and found.get("sliding_window"):
        mixture.append("sliding_window")
    if mixture:
        raise ValueError(f"from_pretrained: {path} has {', '.join(mixture)}, which no class of Transformers has; "
                         "`skipattn convert --format hf` makes a folder that opens with trust_remote_code=True")
    model = causal_lm_class(family).from_pretrained(path, **kwargs)
    if fused_loss:
        check_fused_loss(model)
    model.fused_loss = fused_loss
    return model
