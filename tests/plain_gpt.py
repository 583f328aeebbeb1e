"""GPT-2 with a routing table, written plainly in PyTorch: no fused kernels, no elision, one score matrix per head.

It defines what the binary must compute. Weights are those of a full (baseline) Hugging Face GPT-2 state dict; heads whose
keys or values a route takes from elsewhere simply never use their own.
"""
import math

import torch
import torch.nn.functional as F


class PlainGpt(torch.nn.Module):
    def __init__(self, state, layers, heads, routes):
        """state: a baseline state dict; routes: [L][H] of {"key": source or list, "value": …} with sources as plan prints."""
        super().__init__()
        self.layers, self.heads, self.routes = layers, heads, routes
        self.names = [name for name in state if not name.endswith((".attn.bias", ".attn.masked_bias", "lm_head.weight"))]
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(state[name].detach().clone()) for name in self.names])

    def weight(self, name):
        return self.weights[self.names.index("transformer." + name)]

    def conv(self, x, name):
        return x @ self.weight(name + ".weight") + self.weight(name + ".bias")

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.weight(name + ".weight"), self.weight(name + ".bias"), 1e-5)

    @staticmethod
    def sources(entry, head):
        """[(layer, head)] of a route's side; [] for "none"."""
        if entry == "none":
            return []
        if isinstance(entry, list):
            return [source for item in entry for source in PlainGpt.sources(item, head)]
        if isinstance(entry, str):
            layer, other = entry.split(".h")
            return [(int(layer), int(other))]
        return [(entry, head)]

    def attend(self, query, route, head, keys, values):
        """query [B, T, d]; one softmax over the keys of all sources, each causally masked."""
        length, d = query.shape[-2:]
        key_sources, value_sources = self.sources(route["key"], head), self.sources(route["value"], head)
        if not key_sources:
            return torch.zeros_like(query)
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        scores = [(query @ keys[l][:, h].transpose(1, 2) / math.sqrt(d)).masked_fill(future, -math.inf)
                  for l, h in key_sources]
        weights = torch.cat(scores, -1).softmax(-1)
        return weights @ torch.cat([values[l][:, h] for l, h in value_sources], 1)

    def forward(self, tokens):
        batch, length = tokens.shape
        x = self.weight("wte.weight")[tokens] + self.weight("wpe.weight")[:length]
        keys, values = [], []
        for l in range(self.layers):
            q, k, v = self.conv(self.norm(x, f"h.{l}.ln_1"), f"h.{l}.attn.c_attn").chunk(3, -1)
            q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
            keys.append(k)
            values.append(v)
            mixed = [self.attend(q[:, h], self.routes[l][h], h, keys, values) for h in range(self.heads)]
            x = x + self.conv(torch.cat(mixed, -1), f"h.{l}.attn.c_proj")
            hidden = F.gelu(self.conv(self.norm(x, f"h.{l}.ln_2"), f"h.{l}.mlp.c_fc"), approximate="tanh")
            x = x + self.conv(hidden, f"h.{l}.mlp.c_proj")
        return self.norm(x, "ln_f") @ self.weight("wte.weight").T


def decayed_and_not(model):
    """AdamW's two groups: matrices decay, the rest does not."""
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    return decayed, [p for p in model.parameters() if p.dim() < 2]
