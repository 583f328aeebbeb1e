"""patch(): skip heads for a model of Transformers, in place."""
from __future__ import annotations

import torch
import transformers
from torch import nn

from ..routing import Routing
from .families import Family
from .install import become_routed, drop_dead, set_classes, shape_of, use_classes, use_plan
from .lending import average_into_lenders
from .refusals import check_model, check_options


def patch(model: nn.Module, routing: str | Routing, *, lend: str = "keep", fused_loss: bool = False) -> nn.Module:
    """Gives a model of Transformers a routing, in place: borrowed keys and values, dead projections gone.

        model = AutoModelForCausalLM.from_pretrained("gpt2")
        skipattn.patch(model, "sla(distance=9, heads=9)")

    generate(), Trainer and save_pretrained() go on as before; skipattn.from_pretrained() opens what was saved. Make the
    optimizer afterwards: parameters are replaced.

    Args:
        model: a GPT2LMHeadModel, or Llama, Mistral, Qwen2, Qwen3, Gemma, Gemma2 or Gemma3 ForCausalLM, with its weights, in
            float32, bfloat16 or float64.
        routing: text of a routing (docs/routing.md), or a Routing of the model's layers and KV heads.
        lend: what a head that others read projects with: "keep", its own weights, or "average", the mean of its own and
            those that its readers lose. conversion_losses() says which loses less.
        fused_loss: in training, make the loss from `labels` without the [tokens, vocabulary] logits; the output's `logits`
            are then None.

    Returns:
        the same model.

    Raises:
        ValueError: one sentence that says what cannot be patched and why; the model is as it was.
    """
    family = check_model(model)
    check_options(model, lend, fused_loss)
    routing = parse_routing(routing, model.config)
    plan = routing.plan()
    _use_checked_classes(model, family)
    if lend == "average":
        average_into_lenders(model, family, plan)
    use_plan(model, family, plan)
    drop_dead(model, family, plan)
    become_routed(model, family, routing.text)
    model.fused_loss = fused_loss
    return model


def parse_routing(routing: str | Routing, config) -> Routing:
    """A routing for the shape of a configuration."""
    shape = shape_of(config)
    if isinstance(routing, str):
        return Routing.parse(routing, **shape)
    if not isinstance(routing, Routing):
        raise TypeError(f"patch: routing must be a text such as 'sla(distance=9, heads=9)' or a Routing, got "
                        f"{type(routing).__name__}")
    if {"layers": routing.layers, "kv_heads": routing.kv_heads} != shape:
        raise ValueError(f"patch: the routing is for {routing.layers} layers of {routing.kv_heads} KV heads, the model has "
                         f"{shape['layers']} of {shape['kv_heads']}")
    return routing


def _use_checked_classes(model: nn.Module, family: Family) -> None:
    """Gives the layers their patched classes once those are seen to compute, with every head its own, what the model does:
    another version of Transformers might compute something else."""
    expected = _probe(model)
    baseline = Routing.parse("baseline", **shape_of(model.config)).plan()
    limit = (1e-3 if expected.dtype in (torch.float32, torch.float64) else 0.1) * expected.abs().max().clamp(min=1e-3)
    were = use_classes(model, family)
    try:
        use_plan(model, family, baseline)
        same, cause = bool(((_probe(model) - expected).abs() <= limit).all()), None
    except Exception as error:  # another version's layers may ask for what ours do not have
        same, cause = False, error
    if not same:
        set_classes(were)
        raise ValueError(f"patch: {type(model).__name__} of Transformers {transformers.__version__} computes something else than "
                         f"what skipattn knows under that name ({cause or 'its logits differ'})") from cause


@torch.no_grad()
def _probe(model: nn.Module) -> torch.Tensor:
    """Logits of a few tokens, without dropout; modes are as before afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        tokens = torch.arange(min(6, model.config.vocab_size), device=model.get_input_embeddings().weight.device)[None]
        return model(tokens, use_cache=False).logits.detach()
    finally:
        for module, mode in modes:
            module.training = mode
