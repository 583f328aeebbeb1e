"""The key/value cache of a patched model: live heads only, as one of Transformers' own caches."""
from __future__ import annotations

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class RoutedCacheLayer(DynamicLayer):
    """What one layer has lent: keys [B, live key heads, S, d] and values [B, live value heads, S, d], perhaps no heads.

    Args:
        reach: tokens that the readers of this layer look back, themselves included; older ones are let go. 0: all.
    """

    def __init__(self, reach: int = 0):
        super().__init__()
        self.reach = reach
        self.seen = 0             #: tokens so far
        self.record_past = False  #: nothing is let go, so that crop() can go back

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if self.is_initialized:
            key_states = torch.cat([self.keys, key_states], dim=-2)
            value_states = torch.cat([self.values, value_states], dim=-2)
            self.seen += key_states.shape[-2] - self.keys.shape[-2]
        else:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.seen = key_states.shape[-2]
        let_go = 0 if self.reach == 0 or self.record_past else max(key_states.shape[-2] - (self.reach - 1), 0)
        self.keys, self.values = key_states[..., let_go:, :], value_states[..., let_go:, :]
        return key_states, value_states

    def get_seq_length(self) -> int:
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.seen + query_length, 0

    @property
    def is_croppable(self) -> bool:
        return self.reach == 0 or self.record_past

    def activate_past_recording(self) -> None:
        self.record_past = True

    def crop(self, tokens_to_remove: int) -> None:
        """Forgets the last -tokens_to_remove tokens."""
        if tokens_to_remove > 0:
            raise ValueError(f"crop: tokens_to_remove must be 0 or less, minus the number of tokens, got {tokens_to_remove}")
        if tokens_to_remove == 0 or not self.is_initialized:
            return
        if self.keys.shape[-2] < self.seen and not self.record_past:
            raise RuntimeError("crop: this layer's readers have a window and older tokens were let go; call "
                               "activate_past_recording() on the cache before it is filled")
        self.keys, self.values = self.keys[..., :tokens_to_remove, :], self.values[..., :tokens_to_remove, :]
        self.seen = max(self.seen + tokens_to_remove, 0)

    def reset(self) -> None:
        super().reset()
        self.keys = self.values = None
        self.is_initialized, self.seen = False, 0


class RoutedCache(DynamicCache):
    """One RoutedCacheLayer for every layer of a patched model; `model.generate()` makes it by itself."""

    def __init__(self, reaches: list[int]):
        Cache.__init__(self, layers=[RoutedCacheLayer(reach) for reach in reaches])

    def bytes(self) -> int:
        """Bytes that the cached tokens take."""
        tensors = [tensor for layer in self.layers if layer.is_initialized for tensor in (layer.keys, layer.values)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def as_routed_cache(cache: Cache | None, reaches: list[int]) -> RoutedCache | None:
    """The cache that a caller gave; an empty DynamicCache becomes a routed one, as the caller will go on with it.

    ValueError for any other cache.
    """
    if cache is None or isinstance(cache, RoutedCache):
        return cache
    if type(cache) is not DynamicCache or cache.get_seq_length() > 0 or getattr(cache, "offloading", False):
        state = "filled by another model" if type(cache) is DynamicCache and cache.get_seq_length() else "of another layout"
        raise ValueError(f"past_key_values: a patched model keeps live heads only, got a {type(cache).__name__} {state}; pass "
                         "none, an empty DynamicCache, or what this model returned")
    cache.__class__ = RoutedCache
    cache.__init__(reaches)
    return cache


def reaches_of(plan, windows: list[int]) -> list[int]:
    """For every layer how far its farthest reader looks back (0: all tokens), given the window of each reader."""
    readers: list[set[int]] = [{layer} for layer in range(len(windows))]
    for reader, layer in enumerate(plan.layers):
        for pair in (pair for pairs in layer.heads for pair in pairs):
            readers[pair.key_layer].add(reader)
            readers[pair.value_layer].add(reader)
    found = [[windows[reader] for reader in of_layer] for of_layer in readers]
    return [0 if 0 in of_layer else max(of_layer) for of_layer in found]
