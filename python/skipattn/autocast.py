"""torch.autocast for the paths through plain torch operations (the compiled operator has the rule of its own)."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def dtype_in_force(query: Tensor) -> torch.dtype:
    """What autocast would make of the query's dtype where it is on, else that dtype."""
    device = query.device.type
    if query.dtype == torch.float64 or not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return query.dtype
    return torch.get_autocast_dtype(device)


def cast_for_autocast(query: Tensor, sources: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Query and sources in autocast's dtype where it is on, as the inputs of a matrix product are; float64 stays."""
    device = query.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return query, list(sources)
    dtype = torch.get_autocast_dtype(device)

    def cast(tensor: Tensor) -> Tensor:
        lower = tensor.is_floating_point() and tensor.dtype != torch.float64 and tensor.device == query.device
        return tensor.to(dtype) if lower else tensor

    return cast(query), [cast(source) for source in sources]
