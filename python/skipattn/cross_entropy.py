"""Next-token loss over chunks of rows: the [tokens, vocabulary] logits never exist as a whole."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK_LOGITS = 1 << 25  #: logits of one chunk


def linear_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor, *, ignore_index: int = -100,
                         reduction: str = "mean") -> Tensor:
    """cross_entropy(hidden @ weight.T, targets), made chunk by chunk together with its gradients.

    Args:
        hidden: [..., D], what the vocabulary head gets; under torch.autocast it is cast as for a matrix product.
        weight: [V, D], the vocabulary head; its gradient is summed in float32.
        targets: int64 [...]; tokens whose target is ignore_index do not count.
        reduction: "mean" over the tokens that count, or "sum".

    Returns:
        the loss in nats, a float32 scalar (float64 for float64). Differentiable once.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"linear_cross_entropy: reduction must be 'mean' or 'sum', got {reduction!r}")
    if hidden.shape[:-1] != targets.shape:
        raise ValueError(f"linear_cross_entropy: targets must be {list(hidden.shape[:-1])}, one for each of hidden's rows, "
                         f"got {list(targets.shape)}")
    if weight.dim() != 2 or weight.shape[1] != hidden.shape[-1]:
        raise ValueError(f"linear_cross_entropy: weight must be [V, {hidden.shape[-1]}], got {list(weight.shape)}")
    if torch.is_autocast_enabled(hidden.device.type):
        hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
    targets = targets.reshape(-1).to(hidden.device)
    if targets.device.type == "cpu" and targets.numel() and int(targets.max()) >= weight.shape[0]:
        raise ValueError(f"linear_cross_entropy: targets must be below {weight.shape[0]}, the vocabulary, got {int(targets.max())}")
    total = _LinearCrossEntropy.apply(hidden.reshape(-1, hidden.shape[-1]), weight,
                                      targets.masked_fill(targets == ignore_index, -1))
    return total / (targets != ignore_index).sum().clamp(min=1) if reduction == "mean" else total


class _LinearCrossEntropy(torch.autograd.Function):
    """The summed loss; its gradients are made in the forward pass, while a chunk's logits are at hand."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            total, hidden_grad, weight_grad = _loss_and_gradients(hidden, weight.to(hidden.dtype), targets,
                                                                  any(ctx.needs_input_grad))
        ctx.save_for_backward(hidden_grad, weight_grad)
        ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        hidden_grad, weight_grad = ctx.saved_tensors
        return hidden_grad * grad.to(hidden_grad.dtype), (weight_grad * grad).to(ctx.weight_dtype), None


def _loss_and_gradients(hidden: Tensor, weight: Tensor, targets: Tensor, gradients: bool):
    accumulate = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    total = torch.zeros((), dtype=accumulate, device=hidden.device)
    hidden_grad = torch.empty_like(hidden) if gradients else None
    weight_grad = torch.zeros_like(weight, dtype=accumulate) if gradients else None
    rows = max(_CHUNK_LOGITS // weight.shape[0], 16)
    for begin in range(0, hidden.shape[0], rows):
        part, wanted = hidden[begin:begin + rows], targets[begin:begin + rows, None]
        counted = (wanted >= 0).to(accumulate)
        wanted = wanted.clamp(min=0)
        scores = torch.mm(part, weight.t()).to(accumulate)
        of_target = scores.gather(1, wanted)
        maximum = scores.amax(1, keepdim=True)
        sums = scores.sub_(maximum).exp_().sum(1, keepdim=True)
        total += ((sums.log() + maximum - of_target) * counted).sum()
        if gradients:
            scores.mul_(counted / sums).scatter_add_(1, wanted, -counted)  # softmax - one-hot
            logits_grad = scores.to(hidden.dtype)
            torch.mm(logits_grad, weight, out=hidden_grad[begin:begin + rows])
            weight_grad += torch.mm(logits_grad.t(), part)
    return total, hidden_grad, weight_grad
