"""Problems for the tests of the operator: shapes and routes of every kind, and random tensors for them."""
import dataclasses

import torch


@dataclasses.dataclass
class Problem:
    """The arguments of one call."""
    name: str
    query: torch.Tensor
    sources: list
    routes: list
    options: dict

    def to(self, dtype):
        return dataclasses.replace(self, query=self.query.to(dtype), sources=[s.to(dtype) for s in self.sources])

    def on(self, device):
        options = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in self.options.items()}
        return dataclasses.replace(self, query=self.query.to(device), sources=[s.to(device) for s in self.sources],
                                   options=options)

    def leaves(self):
        """A copy whose tensors ask for gradients."""
        return dataclasses.replace(self, query=self.query.detach().clone().requires_grad_(),
                                   sources=[source.detach().clone().requires_grad_() for source in self.sources])

    def call(self, function, **changes):
        return function(self.query, self.sources, self.routes, **{**self.options, **changes})


def own_heads(kv_heads):
    return [[(0, head, 1, head)] for head in range(kv_heads)]


def skip_heads(kv_heads, own):
    """The first `own` heads read sources 0 and 1, the others 2 and 3, whose heads are those that are read."""
    return [[(0, h, 1, h)] if h < own else [(2, h - own, 3, h - own)] for h in range(kv_heads)]


JOINT = [[(0, 0, 1, 0), (2, 1, 3, 1)], [(0, 1, 3, 0)], [], [(2, 0, 2, 0)]]


def make(name, routes, heads, source_heads, batch=2, queries=17, keys=17, width=16, dtype=torch.float64, seed=0,
         **options):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, queries, heads, width, generator=draw, dtype=dtype).transpose(1, 2)
    sources = [torch.randn(batch, keys, count, width, generator=draw, dtype=dtype).transpose(1, 2)
               for count in source_heads]
    return Problem(name, query, sources, routes, options)


def problems(dtype=torch.float64):
    window = (torch.arange(17) - 4).clamp(min=0).to(torch.int32).expand(2, 17).contiguous()
    padding = torch.tensor([[0], [5]], dtype=torch.int32).expand(2, 17).contiguous()
    nothing = torch.full((2, 17), 100, dtype=torch.int32)
    return [
        make("own", own_heads(4), 4, (4, 4), dtype=dtype),
        make("skip", skip_heads(4, 1), 4, (1, 1, 3, 3), dtype=dtype),
        make("grouped queries", skip_heads(2, 1), 6, (1, 1, 1, 1), dtype=dtype),
        make("joint, none, keys as values", JOINT, 4, (2, 2, 2, 2), dtype=dtype),
        make("all keys", skip_heads(4, 1), 4, (1, 1, 3, 3), dtype=dtype, causal=False, scale=0.5),
        make("cache", skip_heads(4, 2), 4, (2, 2, 2, 2), queries=3, keys=19, dtype=dtype),
        make("one query", skip_heads(4, 2), 4, (2, 2, 2, 2), queries=1, keys=19, dtype=dtype),
        make("more queries than keys", own_heads(2), 2, (2, 2), queries=9, keys=4, dtype=dtype),
        make("window", skip_heads(4, 1), 4, (1, 1, 3, 3), dtype=dtype, first_key=window),
        make("left padding", JOINT, 4, (2, 2, 2, 2), dtype=dtype, first_key=padding),
        make("nothing visible", own_heads(2), 2, (2, 2), dtype=dtype, first_key=nothing),
        make("no keys", own_heads(2), 2, (2, 2), keys=0, dtype=dtype),
    ]
