"""The first key that each query may see, int32 [B, T]: windows, left padding and packed documents as one number."""
from __future__ import annotations

import torch
from torch import Tensor


def window_start(length: int, total: int, window: int, device: torch.device) -> Tensor:
    """int32 [1, T]: where the window of the last `length` of `total` tokens begins; a query itself is in its window."""
    return torch.arange(total - length + 1 - window, total + 1 - window, device=device, dtype=torch.int32)[None]


def padding_start(attention_mask: Tensor) -> Tensor | None:
    """int32 [B, 1] of a mask [B, S] that is 0 where a token is padding: the first token of each row; None where no row
    is padded on the left. Padding on the right needs nothing, as nobody before it sees it.

    ValueError when a row has padding between tokens.
    """
    seen = attention_mask != 0
    start = seen.int().argmax(dim=1, keepdim=True).int()
    if torch.compiler.is_compiling():
        return start
    runs = (seen[:, 1:] & ~seen[:, :-1]).sum(1) + seen[:, 0]
    if bool((runs > 1).any()):
        row = int((runs > 1).nonzero()[0, 0])
        raise ValueError(f"attention_mask: row {row} has padding between tokens, which one first visible key for each query "
                         "cannot say; pad on the left (a prompt that generation continues) or on the right (training)")
    return start if bool(start.any()) else None


def document_start(position_ids: Tensor) -> Tensor | None:
    """int32 [B, T] of positions [B, T] that begin anew with every packed document; None where none does."""
    jumps = position_ids.diff(dim=1) != 1
    if not torch.compiler.is_compiling() and not bool(jumps.any()):
        return None
    places = torch.arange(1, position_ids.shape[1], device=position_ids.device, dtype=torch.int32)
    starts = torch.cat([torch.zeros_like(jumps[:, :1], dtype=torch.int32), places * jumps], dim=1)
    return starts.cummax(dim=1).values.int()
