"""What a head that others read from now on projects with: its own weights, or the mean of its own and those that go."""
from __future__ import annotations

from collections import defaultdict

import torch
from torch import nn

from .classes import kind_of
from .families import Family


def find_losses(plan, is_value: bool) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """For every (layer, head) that lends its keys (or values): the (layer, head) of those whose own go for it.

    A head that reads several sources jointly, or none, gives its weights to nobody.
    """
    losses = defaultdict(list)
    for layer, live in enumerate(plan.layers):
        kept = live.live_values if is_value else live.live_keys
        for head, pairs in enumerate(live.heads):
            if len(pairs) != 1 or head in kept:
                continue
            pair = pairs[0]
            lender = pair.value_layer if is_value else pair.key_layer
            lent = (plan.layers[lender].live_values[pair.value_slot] if is_value
                    else plan.layers[lender].live_keys[pair.key_slot])
            losses[lender, lent].append((layer, head))
    return losses


@torch.no_grad()
def average_into_lenders(model: nn.Module, family: Family, plan) -> None:
    """Each lender's projection (weight and bias) becomes the mean of its own and of those that its readers lose, keys and
    values apart, as multi-head models are made grouped-query ones (Ainslie et al. 2023, section 2.1)."""
    kind = kind_of(family)
    attentions = [kind.attention_of(layer) for layer in kind.layers_of(model.base_model)]
    for is_value in (False, True):
        for (layer, head), lost in find_losses(plan, is_value).items():
            own = kind.head_parts(attentions[layer], head, is_value)
            theirs = [kind.head_parts(attentions[other], its, is_value) for other, its in lost]
            for part, *others in zip(own, *theirs, strict=True):
                part.copy_(torch.stack([x.to(part.device, torch.float32) for x in (part, *others)]).mean(0))
