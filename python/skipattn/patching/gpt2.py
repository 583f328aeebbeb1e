"""What is GPT-2's own: learned positions, and one projection of queries, keys and values."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .attend import LayerCall, attend


def layers_of(decoder: nn.Module) -> nn.ModuleList:
    return decoder.h


def attention_of(layer: nn.Module) -> nn.Module:
    return layer.attn


def projections_of(attention: nn.Module) -> dict[str, nn.Module]:
    """The projections that patching changes, by name."""
    return {"c_attn": attention.c_attn}


def dropout_of(attention: nn.Module) -> float:
    return attention.attn_dropout.p


def begin(decoder: nn.Module, x: Tensor, position_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """The input of the first layer, from the embedded tokens."""
    x = x + decoder.wpe(position_ids).to(x.device)
    if token_type_ids is not None:
        x = x + decoder.wte(token_type_ids)
    return decoder.drop(x)


def rotations(decoder: nn.Module, x: Tensor, position_ids: Tensor) -> list[None]:
    return [None] * len(decoder.h)


def end(decoder: nn.Module, x: Tensor) -> Tensor:
    return decoder.ln_f(x)


def layer_forward(self, hidden_states: Tensor, *borrowed: Tensor, call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
    attended, keys, values = self.attn(self.ln_1(hidden_states), *borrowed, call=call)
    hidden_states = attended + hidden_states
    return hidden_states + self.mlp(self.ln_2(hidden_states)), keys, values


def attention_forward(self, hidden_states: Tensor, *borrowed: Tensor, call: LayerCall) -> tuple[Tensor, Tensor, Tensor]:
    projected = self.c_attn(hidden_states)
    projected = projected.view(*projected.shape[:2], -1, self.head_dim).transpose(1, 2)
    query, keys, values = projected.split([self.num_heads, *self.live], dim=1)
    attended, keys, values = attend(self, query, keys, values, borrowed, call)
    return self.resid_dropout(self.c_proj(attended)), keys, values


def head_parts(attention: nn.Module, head: int, is_value: bool) -> list[Tensor]:
    """Views of the weight and bias of one head of an unpatched projection."""
    width, heads = attention.head_dim, attention.num_heads
    begin = (heads * (2 if is_value else 1) + head) * width
    return [parameter.narrow(-1, begin, width) for parameter in (attention.c_attn.weight, attention.c_attn.bias)]


def keep_heads(attention: nn.Module, keys: list[int], values: list[int]) -> None:
    """Drops the projections of all other key and value heads."""
    width, heads = attention.head_dim, attention.num_heads
    kept = [*range(heads), *(heads + head for head in keys), *(2 * heads + head for head in values)]
    projection = attention.c_attn
    columns = torch.tensor([head * width + i for head in kept for i in range(width)], device=projection.weight.device)
    for name in ("weight", "bias"):
        old = getattr(projection, name)
        chosen = old.detach().index_select(-1, columns.to(old.device))
        setattr(projection, name, nn.Parameter(chosen, requires_grad=old.requires_grad))
    projection.nf = len(columns)
