"""The Llama families with a routing table, written plainly in PyTorch: no fused kernels, no elision, one score matrix per head.

It defines what the binary must compute, as plain_gpt.py does for GPT-2. Weights are those of a full (baseline) Hugging Face
state dict of a Llama, Mistral, Qwen2 or Qwen3; heads whose keys or values a route takes from elsewhere never use their own.
What is lent is the lender's keys after their norm and their rotation.
"""
import math

import torch
import torch.nn.functional as F

from plain_gpt import PlainGpt


def rotary_frequencies(config, head_width):
    """Radians per position of each pair, with Llama 3's or linear scaling."""
    rope = getattr(config, "rope_parameters", None) or {  # before Transformers 5 in two places
        "rope_type": "default", "rope_theta": config.rope_theta, **(getattr(config, "rope_scaling", None) or {})}
    plain = rope["rope_theta"] ** (-torch.arange(0, head_width, 2, dtype=torch.float64) / head_width)
    if rope["rope_type"] == "linear":
        return plain / rope["factor"]
    if rope["rope_type"] == "default":
        return plain
    turns = rope["original_max_position_embeddings"] * plain / (2 * math.pi)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    share = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - share) * plain / rope["factor"] + share * plain


def windows(config):
    """How far each layer looks back; None: to the beginning."""
    layers = range(config.num_hidden_layers)
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    if types:
        return [window if types[l] == "sliding_attention" else None for l in layers]
    if hasattr(config, "max_window_layers"):  # Qwen's before there were types
        return [window if config.use_sliding_window and l >= config.max_window_layers else None for l in layers]
    return [window for l in layers]


class PlainLlama(torch.nn.Module):
    def __init__(self, model, routes):
        """model: a Transformers model; routes: [L][Hkv] of {"key": source or list, "value": …} with sources as plan prints."""
        super().__init__()
        config = model.config
        self.config, self.routes = config, routes
        self.head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.frequencies = rotary_frequencies(config, self.head_width)
        self.windows = windows(config)
        state = model.state_dict()
        self.names = [n for n in state if not (n == "lm_head.weight" and config.tie_word_embeddings)]
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(state[name].detach().clone()) for name in self.names])

    def weight(self, name):
        return self.weights[self.names.index(name)]

    def linear(self, x, name):
        bias = self.weight(name + ".bias") if name + ".bias" in self.names else None
        return F.linear(x, self.weight(name + ".weight"), bias)

    def norm(self, x, name):
        if name + ".weight" not in self.names:  # families without query and key norms
            return x
        return x * (x.square().mean(-1, keepdim=True) + self.config.rms_norm_eps).rsqrt() * self.weight(name + ".weight")

    def rotate(self, x):
        """Element i of a head [B, heads, T, d] is paired with element i + d/2."""
        angles = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * self.frequencies
        cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        first, second = x.chunk(2, -1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)

    def attend(self, query, route, head, layer, keys, values):
        """query [B, T, d]; one softmax over the keys of all sources, each causally masked."""
        length = query.shape[1]
        key_sources, value_sources = PlainGpt.sources(route["key"], head), PlainGpt.sources(route["value"], head)
        if not key_sources:
            return torch.zeros_like(query)
        distance = torch.arange(length)[:, None] - torch.arange(length)
        hidden = (distance < 0) | (distance >= (self.windows[layer] or length))
        scores = [(query @ keys[l][:, h].transpose(1, 2) / math.sqrt(self.head_width)).masked_fill(hidden, -math.inf)
                  for l, h in key_sources]
        return torch.cat(scores, -1).softmax(-1) @ torch.cat([values[l][:, h] for l, h in value_sources], 1)

    def forward(self, tokens):
        batch, length = tokens.shape
        config = self.config
        group = config.num_attention_heads // config.num_key_value_heads
        x = self.weight("model.embed_tokens.weight")[tokens]
        keys, values = [], []
        for l in range(config.num_hidden_layers):
            name = f"model.layers.{l}."
            normed = self.norm(x, name + "input_layernorm")
            q, k, v = (self.linear(normed, f"{name}self_attn.{kind}_proj").view(batch, length, -1, self.head_width)
                       .transpose(1, 2) for kind in "qkv")
            q = self.rotate(self.norm(q, name + "self_attn.q_norm"))
            keys.append(self.rotate(self.norm(k, name + "self_attn.k_norm")))
            values.append(v)
            mixed = [self.attend(q[:, h], self.routes[l][h // group], h // group, l, keys, values)
                     for h in range(config.num_attention_heads)]
            x = x + self.linear(torch.cat(mixed, -1), name + "self_attn.o_proj")
            normed = self.norm(x, name + "post_attention_layernorm")
            gated = F.silu(self.linear(normed, name + "mlp.gate_proj")) * self.linear(normed, name + "mlp.up_proj")
            x = x + self.linear(gated, name + "mlp.down_proj")
        x = self.norm(x, "model.norm")
        head = "model.embed_tokens" if config.tie_word_embeddings else "lm_head"
        return x @ self.weight(head + ".weight").T
