"""Small random models of every family that can be patched, and the plain form of a routed one.

plain() runs an unpatched model whose attention is replaced by a few lines that keep every layer's keys and values and read
them as a routing's table says, with all scores in memory: no elision, no cache, Transformers' own masks.
"""
import copy
import math

import torch
import transformers
from transformers import (Gemma2Config, Gemma3TextConfig, GemmaConfig, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen3Config)

import skipattn

torch.set_num_threads(1)  # for tensors this small a second one is in the way
VOCABULARY, LAYERS, KV_HEADS, WINDOW = 97, 4, 2, 9
_SIZES = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=4,
              num_key_value_heads=KV_HEADS, head_dim=16, max_position_embeddings=64, pad_token_id=0, bos_token_id=None,
              eos_token_id=None)
_NO_ENDS = dict(bos_token_id=None, eos_token_id=None)
_WINDOWED = dict(use_sliding_window=True, sliding_window=WINDOW, max_window_layers=2)
CONFIGS = {
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=LAYERS, n_head=KV_HEADS, n_positions=64, **_NO_ENDS),
    "gpt2 scaled by layer": GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=LAYERS, n_head=KV_HEADS, n_positions=64,
                                       scale_attn_by_inverse_layer_idx=True, **_NO_ENDS),
    "llama": LlamaConfig(**_SIZES, attention_bias=True),
    "mistral": MistralConfig(**_SIZES, sliding_window=WINDOW),
    "qwen2": Qwen2Config(**{**_SIZES, "hidden_size": 64}, **_WINDOWED),
    "qwen3": Qwen3Config(**_SIZES, **_WINDOWED),
    "gemma": GemmaConfig(**_SIZES),
    "gemma2": Gemma2Config(**_SIZES, sliding_window=WINDOW, attn_logit_softcapping=2.0, query_pre_attn_scalar=16),
    "gemma3": Gemma3TextConfig(**_SIZES, sliding_window=WINDOW, query_pre_attn_scalar=16),
}
ROUTINGS = [
    "sla(distance=2, heads=1)",
    "cla(group=2)",
    "sla(distance=1, heads=1, keys=own, window=5)",
    """{"layers": 4, "kv_heads": 2, "routes": [
        {"layer": 2, "head": 1, "key": ["own", 0], "value": ["own", 1]},
        {"layer": 3, "head": 0, "key": "none", "value": "none"},
        {"layer": 3, "head": 1, "key": {"layer": 1, "head": 0}, "value": {"layer": 2, "head": 0}}]}""",
]


def model_of(name, **changes):
    """Random weights, away from the initial zeros and ones, and attention away from uniform; in eval mode."""
    config = copy.deepcopy(CONFIGS[name])
    for key, value in changes.items():
        setattr(config, key, value)
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model


def patched(model, routing, **options):
    return skipattn.patch(copy.deepcopy(model), routing, **options)


def layers_of(model):
    return model.base_model.h if hasattr(model.base_model, "h") else model.base_model.layers


def sources(entry, head):
    """[(layer, head)] of one side of a table's entry."""
    if isinstance(entry, list):
        return [source for item in entry for source in sources(item, head)]
    if isinstance(entry, str):
        return [] if entry == "none" else [tuple(int(number) for number in entry.split(".h"))]
    return [(entry, head)]


def project(attention, x, rotation):
    """Query, keys and values [B, heads, T, d] by Transformers' own modules."""
    if hasattr(attention, "c_attn"):
        query, keys, values = attention.c_attn(x).chunk(3, dim=-1)
    else:
        query, keys, values = attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)
    query, keys, values = (y.view(*y.shape[:2], -1, attention.head_dim) for y in (query, keys, values))
    if hasattr(attention, "q_norm"):
        query, keys = attention.q_norm(query), attention.k_norm(keys)
    query, keys, values = (y.transpose(1, 2) for y in (query, keys, values))
    if rotation is not None:
        module = transformers.models.llama.modeling_llama
        query, keys = module.apply_rotary_pos_emb(query, keys, *rotation)
    return query, keys, values


def attend(attention, query, pairs, keys, values, mask):
    """query [B, G, T, d] over the pairs of one KV head, each under Transformers' additive mask."""
    if not pairs:
        return torch.zeros_like(query)
    cap = getattr(attention, "attn_logit_softcapping", None)
    scores = [query @ keys[layer][:, head:head + 1].mT * attention.scaling for (layer, head), _ in pairs]
    scores = [cap * torch.tanh(score / cap) for score in scores] if cap else scores
    weights = torch.cat([score + mask for score in scores], -1).softmax(-1)
    return weights @ torch.cat([values[layer][:, head:head + 1] for _, (layer, head) in pairs], 2)


def plain(model, routing):
    """An unpatched copy that reads as the routing's table says. Call it without a cache."""
    copied = copy.deepcopy(model)
    routing = skipattn.Routing.parse(routing, layers=LAYERS, kv_heads=KV_HEADS)
    plan, keys, values = routing.plan(), {}, {}

    def forward_of(index, attention):
        routes = [list(zip(sources(entry["key"], head), sources(entry["value"], head), strict=True))
                  for head, entry in enumerate(routing.table[index])]

        def forward(hidden_states, attention_mask=None, position_embeddings=None, **_):
            query, keys[index], values[index] = project(attention, hidden_states, position_embeddings)
            mask = attention_mask + narrowed(attention_mask, plan.layers[index].window)
            groups = query.split(query.shape[1] // KV_HEADS, dim=1)
            mixed = torch.cat([attend(attention, group, pairs, keys, values, mask) for group, pairs in zip(groups, routes)], 1)
            output = attention.c_proj if hasattr(attention, "c_proj") else attention.o_proj
            return output(mixed.transpose(1, 2).flatten(2)), None
        return forward

    for index, layer in enumerate(layers_of(copied)):
        attention = layer.attn if hasattr(layer, "attn") else layer.self_attn
        attention.forward = forward_of(index, attention)
    return copied


def narrowed(mask, window):
    """What a routing's window hides besides: additive [T, S]."""
    length = mask.shape[-1]
    place = torch.arange(length)
    hidden = place[None] <= place[:, None] - (window or length + 1)
    return torch.zeros(length, length).masked_fill(hidden, -math.inf)


def left_padded(rows=(0, 4), length=24, seed=3):
    """Token ids [B, length] and their mask, row i padded on the left by rows[i]."""
    torch.manual_seed(seed)
    ids = torch.randint(1, VOCABULARY, (len(rows), length))
    mask = torch.ones_like(ids)
    for row, padding in enumerate(rows):
        ids[row, :padding], mask[row, :padding] = 0, 0
    return ids, mask


def fails(function, kind, says):
    """The call must raise this error, of one sentence that has every fragment."""
    try:
        function()
    except kind as error:
        for fragment in [says] if isinstance(says, str) else says:
            assert fragment in str(error), f"expected {fragment!r} in: {error}"
        assert "\n" not in str(error), error
        return
    raise AssertionError(f"no {kind.__name__} about {says!r}")
