"""Decoders whose attention heads may read the keys and values of lower layers, for Transformers 4.50 and later.

`skipattn convert --format hf` puts this file beside the weights; AutoModelForCausalLM opens the folder with
trust_remote_code=True, and nothing else needs to be installed.

A key or value head that nobody reads (a dead one) has no weights and no place in the cache. `config.skipattn` says
what is live and who reads it:

    layers[l] = {"live_keys": 3, "live_values": 4,      heads whose keys and values layer l projects
                 "reads": [[[0, 2, 0, 2]], …],           per KV head: (key layer, key slot, value layer, value slot)
                 "window": 0, "scale": 0.125}            slot: position among the live heads of that layer
"""
import torch
import transformers
from torch import nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_skipattn import (SkipattnGpt2Config, SkipattnLlamaConfig, SkipattnMistralConfig, SkipattnQwen2Config,
                                     SkipattnQwen3Config)

ACTIVATIONS = {"gelu_new": lambda x: F.gelu(x, approximate="tanh"), "gelu": F.gelu, "silu": F.silu}


def tied(target, source):
    """Transformers 5 asks for a mapping, earlier ones for a list."""
    return {target: source} if int(transformers.__version__.split(".")[0]) >= 5 else [target]


class Lenders:
    """The live keys and values [B, heads, S, d] of the layers that one forward pass has been through.

    In the cache a layer is one entry, its live key heads followed by its live value heads; layers without any have
    none, so that the first entry always knows the number of tokens.
    """

    def __init__(self, layers, cache):
        self.cache = cache
        self.keys, self.values = {}, {}
        live = [index for index, layer in enumerate(layers) if layer["live_keys"] + layer["live_values"] > 0]
        self.entries = {layer: entry for entry, layer in enumerate(live)}

    def add(self, layer, keys, values):
        if self.cache is not None and layer in self.entries:
            both = torch.cat([keys, values], dim=1)
            both, _ = self.cache.update(both, both[:, :0], self.entries[layer])
            keys, values = both.split([keys.shape[1], values.shape[1]], dim=1)
        self.keys[layer], self.values[layer] = keys, values


def runs_of_heads(reads):
    """KV heads that read neighbouring slots of the same layers, joined: [(first head, count, pairs of the first)]."""
    runs = []
    for head, pairs in enumerate(reads):
        if runs:
            first, count, start = runs[-1]
            if [[kl, ks + count, vl, vs + count] for kl, ks, vl, vs in start] == pairs:
                runs[-1] = (first, count + 1, start)
                continue
        runs.append((head, 1, pairs))
    return runs


def routed_attention(query, layer, lenders, visible):
    """query [B, H, T, d], visible [B, 1, T, S] -> [B, T, H * d]. The pairs of a head share one softmax."""
    batch, heads, length, width = query.shape
    repeat = heads // len(layer["reads"])
    outputs = []
    for first, count, pairs in runs_of_heads(layer["reads"]):
        asked = query[:, first * repeat:(first + count) * repeat]
        if not pairs:
            outputs.append(torch.zeros_like(asked))
            continue
        keys = [lenders.keys[kl][:, ks:ks + count] for kl, ks, _, _ in pairs]
        values = [lenders.values[vl][:, vs:vs + count] for _, _, vl, vs in pairs]
        keys = keys[0] if len(pairs) == 1 else torch.cat(keys, dim=2)
        values = values[0] if len(pairs) == 1 else torch.cat(values, dim=2)
        if length == 1:  # the query heads of a KV head as its queries: nothing is copied
            asked = asked.reshape(batch, count, repeat, width)
        elif repeat > 1:
            keys, values = (x.repeat_interleave(repeat, dim=1) for x in (keys, values))
        mask = visible.repeat(1, 1, 1, len(pairs)) if len(pairs) > 1 else visible
        attended = F.scaled_dot_product_attention(asked, keys, values, attn_mask=mask, scale=layer["scale"])
        outputs.append(attended.reshape(batch, count * repeat, length, width))
    return torch.cat(outputs, dim=1).transpose(1, 2).reshape(batch, length, heads * width)


def visible_keys(attention_mask, length, total, window, device):
    """Which keys a query sees, bool [B or 1, 1, T, S]: earlier ones in its window that are no padding, and itself."""
    queries = torch.arange(total - length, total, device=device)[:, None]
    keys = torch.arange(total, device=device)[None, :]
    seen = (keys <= queries) & (keys > queries - window) if window else keys <= queries
    seen = seen[None, None]
    if attention_mask is not None:
        seen = seen & attention_mask[:, None, None, :].to(torch.bool)
    return seen | (keys == queries)


def heads_of(x, width):
    """[B, T, heads * d] -> [B, heads, T, d]"""
    return x.view(x.shape[0], x.shape[1], x.shape[2] // width, width).transpose(1, 2)


class InOutLinear(nn.Module):
    """A linear layer whose weight is [in, out], as GPT-2's files have it."""

    def __init__(self, inputs, outputs, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight.t(), self.bias)


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)).to(x.dtype)


class Gpt2Attention(nn.Module):
    def __init__(self, sizes, layer):
        super().__init__()
        self.width, self.heads = sizes["head_width"], sizes["heads"]
        self.layer = layer
        rows = self.heads + layer["live_keys"] + layer["live_values"]
        self.c_attn = InOutLinear(sizes["width"], rows * self.width, sizes["bias"])
        self.c_proj = InOutLinear(self.heads * self.width, sizes["width"], sizes["bias"])

    def forward(self, x, index, lenders, visible, _):
        projected = heads_of(self.c_attn(x), self.width)
        query, keys, values = projected.split([self.heads, self.layer["live_keys"], self.layer["live_values"]], dim=1)
        lenders.add(index, keys, values)
        return self.c_proj(routed_attention(query, self.layer, lenders, visible))


class Gpt2Mlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.c_fc = InOutLinear(sizes["width"], sizes["mlp_width"], sizes["bias"])
        self.c_proj = InOutLinear(sizes["mlp_width"], sizes["width"], sizes["bias"])
        self.activation = ACTIVATIONS[sizes["activation"]]

    def forward(self, x):
        return self.c_proj(self.activation(self.c_fc(x)))


class Gpt2Block(nn.Module):
    def __init__(self, sizes, layer):
        super().__init__()
        self.ln_1 = nn.LayerNorm(sizes["width"], eps=sizes["norm_epsilon"], bias=sizes["bias"])
        self.attn = Gpt2Attention(sizes, layer)
        self.ln_2 = nn.LayerNorm(sizes["width"], eps=sizes["norm_epsilon"], bias=sizes["bias"])
        self.mlp = Gpt2Mlp(sizes)

    def forward(self, x, *call):
        x = x + self.attn(self.ln_1(x), *call)
        return x + self.mlp(self.ln_2(x))


class Gpt2Body(nn.Module):
    def __init__(self, config):
        super().__init__()
        sizes = config.skipattn
        self.wte = nn.Embedding(config.vocab_size, sizes["width"])
        self.wpe = nn.Embedding(sizes["positions"], sizes["width"])
        self.h = nn.ModuleList(Gpt2Block(sizes, layer) for layer in sizes["layers"])
        self.ln_f = nn.LayerNorm(sizes["width"], eps=sizes["norm_epsilon"], bias=sizes["bias"])

    def begin(self, x, positions):
        return x + self.wpe(positions), None

    def parts(self):
        return self.wte, self.h, self.ln_f


def rotated(x, angles):
    """x [B, heads, T, d] turned by cos and sin [B, 1, T, d / 2]; the halves of a head are the pairs."""
    cos, sin = angles
    low, high = x.chunk(2, dim=-1)
    return torch.cat([low * cos - high * sin, high * cos + low * sin], dim=-1)


class LlamaAttention(nn.Module):
    def __init__(self, sizes, layer):
        super().__init__()
        self.width = sizes["head_width"]
        self.layer = layer

        def projection(heads):
            return nn.Linear(sizes["width"], heads * self.width, bias=sizes["qkv_bias"]) if heads else None

        self.q_proj = projection(sizes["heads"])
        self.k_proj = projection(layer["live_keys"])
        self.v_proj = projection(layer["live_values"])
        self.o_proj = nn.Linear(sizes["heads"] * self.width, sizes["width"], bias=sizes["output_bias"])
        self.q_norm = RmsNorm(self.width, sizes["norm_epsilon"]) if sizes["query_key_norm"] else None
        self.k_norm = (RmsNorm(self.width, sizes["norm_epsilon"])
                       if sizes["query_key_norm"] and layer["live_keys"] else None)

    def forward(self, x, index, lenders, visible, angles):
        query = heads_of(self.q_proj(x), self.width)
        keys = heads_of(self.k_proj(x), self.width) if self.k_proj is not None else query[:, :0]
        values = heads_of(self.v_proj(x), self.width) if self.v_proj is not None else query[:, :0]
        query = query if self.q_norm is None else self.q_norm(query)
        keys = keys if self.k_norm is None else self.k_norm(keys)
        lenders.add(index, rotated(keys, angles), values)
        return self.o_proj(routed_attention(rotated(query, angles), self.layer, lenders, visible))


class LlamaMlp(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.gate_proj = nn.Linear(sizes["width"], sizes["mlp_width"], bias=sizes["mlp_bias"])
        self.up_proj = nn.Linear(sizes["width"], sizes["mlp_width"], bias=sizes["mlp_bias"])
        self.down_proj = nn.Linear(sizes["mlp_width"], sizes["width"], bias=sizes["mlp_bias"])
        self.activation = ACTIVATIONS[sizes["activation"]]

    def forward(self, x):
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class LlamaBlock(nn.Module):
    def __init__(self, sizes, layer):
        super().__init__()
        self.input_layernorm = RmsNorm(sizes["width"], sizes["norm_epsilon"])
        self.self_attn = LlamaAttention(sizes, layer)
        self.post_attention_layernorm = RmsNorm(sizes["width"], sizes["norm_epsilon"])
        self.mlp = LlamaMlp(sizes)

    def forward(self, x, *call):
        x = x + self.self_attn(self.input_layernorm(x), *call)
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaBody(nn.Module):
    def __init__(self, config):
        super().__init__()
        sizes = config.skipattn
        self.frequencies = sizes["rotary_frequencies"]
        self.embed_tokens = nn.Embedding(config.vocab_size, sizes["width"])
        self.layers = nn.ModuleList(LlamaBlock(sizes, layer) for layer in sizes["layers"])
        self.norm = RmsNorm(sizes["width"], sizes["norm_epsilon"])

    def begin(self, x, positions):
        dtype = torch.float32 if x.device.type == "mps" else torch.float64  # far positions need the digits
        frequencies = torch.tensor(self.frequencies, dtype=dtype, device=x.device)
        angles = positions[:, None, :, None].to(dtype) * frequencies
        return x, (angles.cos().to(x.dtype), angles.sin().to(x.dtype))

    def parts(self):
        return self.embed_tokens, self.layers, self.norm


class SkipattnModel(PreTrainedModel, GenerationMixin):
    """What both families share; a family adds its body and the name that the body has in the files."""
    _supports_cache_class = True
    _supports_sdpa = True
    _supports_static_cache = False

    def _init_weights(self, module):
        deviation = self.config.skipattn.get("initializer_range", 0.02)
        if isinstance(module, (nn.Linear, nn.Embedding, InOutLinear)):
            nn.init.normal_(module.weight, std=deviation)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.LayerNorm, RmsNorm)):
            nn.init.ones_(module.weight)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)

    @property
    def body(self):
        return getattr(self, self.base_model_prefix)

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, head):
        self.lm_head = head

    def get_input_embeddings(self):
        return self.body.parts()[0]

    def forward(self, input_ids=None, attention_mask=None, position_ids=None, past_key_values=None, inputs_embeds=None,
                labels=None, use_cache=None, output_attentions=None, output_hidden_states=None, return_dict=None,
                logits_to_keep=0, **kwargs):
        if output_attentions:
            raise ValueError("output_attentions: the attention weights of this model are never written down")
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError(f"attention_mask: must be [batch, tokens so far], not {tuple(attention_mask.shape)}")
        if past_key_values is not None and not isinstance(past_key_values, DynamicCache):
            raise ValueError(f"past_key_values: must be a DynamicCache, not a {type(past_key_values).__name__}")
        embedding, blocks, norm = self.body.parts()
        x = embedding(input_ids) if inputs_embeds is None else inputs_embeds
        use_cache = getattr(self.config, "use_cache", True) if use_cache is None else use_cache
        if use_cache and past_key_values is None and not self.training:
            past_key_values = DynamicCache()
        length = x.shape[1]
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        if position_ids is None and attention_mask is not None:  # padding on the left takes no positions
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -length:]
        elif position_ids is None:
            position_ids = torch.arange(past, past + length, device=x.device)[None]

        layers = self.config.skipattn["layers"]
        visible = {window: visible_keys(attention_mask, length, past + length, window, x.device)
                   for window in {layer["window"] for layer in layers}}
        lenders = Lenders(layers, past_key_values)
        x, angles = self.body.begin(x, position_ids)
        states = ()
        for index, (block, layer) in enumerate(zip(blocks, layers)):
            states += (x,) if output_hidden_states else ()
            x = block(x, index, lenders, visible[layer["window"]], angles)
        x = norm(x)

        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(x[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        result = CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=past_key_values,
                                        hidden_states=states + (x,) if output_hidden_states else None)
        return result.to_tuple() if return_dict is False else result


class SkipattnGpt2ForCausalLM(SkipattnModel):
    config_class = SkipattnGpt2Config
    base_model_prefix = "transformer"
    _tied_weights_keys = tied("lm_head.weight", "transformer.wte.weight")

    def __init__(self, config):
        super().__init__(config)
        self.transformer = Gpt2Body(config)
        self.lm_head = nn.Linear(config.skipattn["width"], config.vocab_size, bias=False)
        self.post_init()

    def set_input_embeddings(self, embedding):
        self.transformer.wte = embedding


class SkipattnLlamaForCausalLM(SkipattnModel):
    config_class = SkipattnLlamaConfig
    base_model_prefix = "model"
    _tied_weights_keys = tied("lm_head.weight", "model.embed_tokens.weight")

    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaBody(config)
        self.lm_head = nn.Linear(config.skipattn["width"], config.vocab_size, bias=False)
        self.post_init()

    def set_input_embeddings(self, embedding):
        self.model.embed_tokens = embedding


# What differs between these is in config.skipattn; Transformers asks for a class for each kind of configuration.
class SkipattnMistralForCausalLM(SkipattnLlamaForCausalLM):
    config_class = SkipattnMistralConfig


class SkipattnQwen2ForCausalLM(SkipattnLlamaForCausalLM):
    config_class = SkipattnQwen2Config


class SkipattnQwen3ForCausalLM(SkipattnLlamaForCausalLM):
    config_class = SkipattnQwen3Config
