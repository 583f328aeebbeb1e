"""What a patched causal language model does differently from its class: its cache, its loss, its configuration."""
from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.loss.loss_utils import ForCausalLMLoss
from transformers.modeling_outputs import CausalLMOutputWithPast

from ..cross_entropy import linear_cross_entropy
from .cache import RoutedCache, as_routed_cache


class RoutedCausalLM:
    """Comes before the class of Transformers that is patched (classes.py)."""

    fused_loss = False  #: in training the loss is made without the logits, which are then None in the output

    def __init__(self, config, *args, **kwargs):
        """An unpatched model, then patched as config.kv_routing says: what from_pretrained() fills with weights."""
        from .install import install
        super().__init__(config, *args, **kwargs)
        install(self, config.kv_routing)

    def _prepare_cache_for_generation(self, generation_config, model_kwargs: dict, *args, **kwargs):
        wanted = generation_config.cache_implementation
        if wanted not in (None, "dynamic"):
            raise ValueError(f"cache_implementation={wanted!r}: a patched model keeps live heads only, in a cache of its own "
                             "that grows; leave it out")
        result = super()._prepare_cache_for_generation(generation_config, model_kwargs, *args, **kwargs)
        cache = model_kwargs.get("past_key_values")
        if cache is not None and not isinstance(cache, RoutedCache):
            as_routed_cache(cache, self.base_model.reaches)
            if getattr(generation_config, "is_assistant", False):
                cache.activate_past_recording()
        return result

    def fused_forward(self, *, labels: Tensor, input_ids: Tensor | None = None, shift_labels: Tensor | None = None,
                      num_items_in_batch: Tensor | int | None = None, ignore_index: int = -100,
                      return_dict: bool | None = None, logits_to_keep: int = 0, **kwargs):
        """The forward pass of training with fused_loss: the same loss, and no logits."""
        outputs = self.base_model(input_ids, **kwargs)
        if shift_labels is None:
            shift_labels = F.pad(labels, (0, 1), value=ignore_index)[:, 1:]
        loss = linear_cross_entropy(outputs.last_hidden_state, self.lm_head.weight, shift_labels, ignore_index=ignore_index,
                                    reduction="mean" if num_items_in_batch is None else "sum")
        if num_items_in_batch is not None:
            loss = loss / num_items_in_batch
        result = CausalLMOutputWithPast(loss=loss, past_key_values=outputs.past_key_values,
                                        hidden_states=outputs.hidden_states)
        return result.to_tuple() if return_dict is False else result

    def can_fuse(self) -> bool:
        """The head and the loss are the ones that the fused loss computes."""
        head = self.lm_head
        return type(head) is nn.Linear and head.bias is None and self.loss_function is ForCausalLMLoss
