"""The forward pass of a patched decoder: Transformers' own layers, with lent keys and values between them."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions
from transformers.utils import logging

from ..nn.lending import LentTensors
from ..nn.visibility import document_start, padding_start, window_start
from .attend import LayerCall
from .cache import RoutedCache, as_routed_cache

logger = logging.get_logger(__name__)


def decoder_forward(self, input_ids: Tensor | None = None, *, attention_mask: Tensor | None = None,
                    position_ids: Tensor | None = None, past_key_values=None, inputs_embeds: Tensor | None = None,
                    use_cache: bool | None = None, output_hidden_states: bool | None = None,
                    output_attentions: bool | None = None, return_dict: bool | None = None,
                    token_type_ids: Tensor | None = None, **kwargs):
    """What the decoder's own class does, in the same words, but for attention weights, which are never written down."""
    _refuse_arguments(self, input_ids, inputs_embeds, attention_mask, output_attentions, kwargs)
    x = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
    cache = _choose_cache(self, past_key_values, self.config.use_cache if use_cache is None else use_cache)
    past, length = 0 if cache is None else cache.get_seq_length(), x.shape[1]
    visible = _visible(self, attention_mask, position_ids if cache is None else None, past, x)
    if position_ids is None:
        position_ids = torch.arange(past, past + length, device=x.device)[None]
    x = self.kind.begin(self, x, position_ids, token_type_ids)
    rotations = self.kind.rotations(self, x, position_ids)

    if output_hidden_states is None:
        output_hidden_states = self.config.output_hidden_states
    states, lent = (x,), LentTensors(self.plan)
    for index, layer in enumerate(self.kind.layers_of(self)):
        attention = self.kind.attention_of(layer)
        call = LayerCall(cache, rotations[index], visible[attention.window],
                         self.kind.dropout_of(attention) if self.training else 0.0)
        x, keys, values = layer(x, *lent.borrowed_by(index), call=call)
        lent.add(index, keys, values)
        states += (x,) if output_hidden_states else ()
    x = self.kind.end(self, x)
    result = BaseModelOutputWithPastAndCrossAttentions(  # GPT-2 asks for its cross-attentions, which are None
        last_hidden_state=x, past_key_values=cache, hidden_states=(*states[:-1], x) if output_hidden_states else None)
    return result.to_tuple() if return_dict is False else result


def _refuse_arguments(decoder: nn.Module, input_ids, inputs_embeds, attention_mask, output_attentions, others: dict) -> None:
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("exactly one of input_ids and inputs_embeds must be given")
    if output_attentions or (output_attentions is None and decoder.config.output_attentions):
        raise ValueError("output_attentions: a patched model never writes its attention weights down")
    if others.get("encoder_hidden_states") is not None:
        raise ValueError("encoder_hidden_states: a patched model has no cross-attention")
    if attention_mask is not None and (not isinstance(attention_mask, Tensor) or attention_mask.dim() != 2):
        found = tuple(attention_mask.shape) if isinstance(attention_mask, Tensor) else type(attention_mask).__name__
        raise ValueError(f"attention_mask: must be a tensor [batch, tokens so far], 1 for tokens and 0 for padding, got {found}")


def _choose_cache(decoder: nn.Module, given, use_cache: bool) -> RoutedCache | None:
    """The cache to use. A layer that checkpointing runs again must not fill one, so then there is none."""
    again = decoder.training and torch.is_grad_enabled() and any(
        getattr(layer, "gradient_checkpointing", False) for layer in decoder.kind.layers_of(decoder))
    if again:
        if given is not None and given.get_seq_length() > 0:
            raise ValueError(f"past_key_values: holds {given.get_seq_length()} tokens, and a model in training with gradient "
                             "checkpointing cannot go on from a cache; call model.eval() or disable checkpointing")
        if use_cache:
            logger.warning_once("use_cache=True is ignored while gradient checkpointing runs layers again.")
        return None
    given = as_routed_cache(given, decoder.reaches)
    return RoutedCache(decoder.reaches) if given is None and use_cache else given


def _visible(decoder: nn.Module, attention_mask: Tensor | None, position_ids: Tensor | None, past: int,
             x: Tensor) -> dict[int, Tensor | None]:
    """The first key of each query, int32 [B, T] or None for all, for every window in use; positions where they are asked
    for documents."""
    batch, length = x.shape[:2]
    start = None
    if attention_mask is not None:
        if attention_mask.shape != (batch, past + length):
            raise ValueError(f"attention_mask: must be [batch, tokens so far] = {[batch, past + length]}, got "
                             f"{list(attention_mask.shape)}")
        start = padding_start(attention_mask)
    elif position_ids is not None:
        start = document_start(position_ids)
    visible = {}
    for window in {decoder.kind.attention_of(layer).window for layer in decoder.kind.layers_of(decoder)}:
        first = start
        if 0 < window < past + length:
            first = window_start(length, past + length, window, x.device)
            first = first if start is None else first.maximum(start)
        visible[window] = None if first is None else first.expand(batch, length).contiguous().to(x.device)
    return visible
