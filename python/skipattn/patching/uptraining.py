"""What a conversion costs before any training: the loss right after it."""
from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..routing import Routing
from .patch import patch


def conversion_losses(model: nn.Module, routing: str | Routing, batches: Iterable[Tensor | dict], *,
                      lends: tuple[str, ...] = ("keep", "average"), quiet: bool = False) -> dict[str, float]:
    """The mean loss (nats a token) of a model, and of patched copies of it for each way to lend; prints them.

        conversion_losses(model, "sla(distance=9, heads=9)", batches)   # unpatched 3.12, keep 6.40, average 6.02

    Args:
        model: an unpatched model; it stays as it is. One copy of it is in memory at a time.
        routing: as for patch().
        batches: int64 token ids [B, T], or dicts of what the model is called with.
        lends: the values of patch()'s `lend` to try.
        quiet: print nothing.

    Returns:
        {"unpatched": loss, "keep": loss, "average": loss}
    """
    batches = [{"input_ids": batch} if isinstance(batch, Tensor) else batch for batch in batches]
    losses = {"unpatched": _mean_loss(model, batches)}
    for lend in lends:
        losses[lend] = _mean_loss(patch(copy.deepcopy(model), routing, lend=lend), batches)
    if not quiet:
        for name, loss in losses.items():
            print(f"{name:<10} {loss:.4f}")
    return losses


@torch.no_grad()
def _mean_loss(model: nn.Module, batches: list[dict]) -> float:
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for batch in batches:
        labels = batch.get("labels", batch["input_ids"])
        tokens = int((labels[:, 1:] != -100).sum())
        total += float(model(**{"labels": labels, "use_cache": False, **batch}).loss) * tokens
        count += tokens
    model.train(was_training)
    return total / max(count, 1)
