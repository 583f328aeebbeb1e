"""The operator under what PyTorch puts around it: compile, autocast, checkpoint, opcheck, gradcheck."""
import torch
from torch.utils.checkpoint import checkpoint

import harness
import problems
import skipattn
from skipattn.checks import flatten_routes
from skipattn.dropout import routed_attention_dropout


def small(dtype=torch.float32, **options):
    return problems.make("small", problems.skip_heads(2, 1), 4, (1, 1, 1, 1), batch=1, queries=6, keys=6, width=8,
                         dtype=dtype, **options)


def with_first_key(dtype=torch.float32):
    return small(dtype, first_key=torch.tensor([[0, 0, 1, 1, 3, 3]], dtype=torch.int32))


def differentiate(function, *tensors):
    """The value of `function` and the gradients of the sum of its squares."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    output = function(*leaves)
    output.float().square().sum().backward()
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def call(problem):
    return lambda query, *sources: skipattn.routed_attention(query, list(sources), problem.routes, **problem.options)


def assert_same(got, want):
    for ours, theirs in zip(got, want, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_compiles_without_a_graph_break(folder):
    for problem in (small(), with_first_key(torch.bfloat16)):
        tensors = (problem.query, *problem.sources)
        expected = differentiate(call(problem), *tensors)
        for options in ({"backend": "aot_eager"}, {"backend": "aot_eager", "dynamic": True}):
            torch._dynamo.reset()
            compiled = torch.compile(call(problem), fullgraph=True, **options)
            assert_same(differentiate(compiled, *tensors), expected)
            longer = [torch.cat([tensor, tensor], 0) for tensor in tensors]
            if "first_key" not in problem.options:
                assert_same(differentiate(compiled, *longer), differentiate(call(problem), *longer))


def test_compiles_with_dropout_and_autocast(folder):
    problem = small(dropout_p=0.5)
    torch._dynamo.reset()
    compiled = torch.compile(call(problem), fullgraph=True, backend="aot_eager")
    tensors = (problem.query, *problem.sources)
    torch.manual_seed(4)
    expected = differentiate(call(problem), *tensors)
    torch.manual_seed(4)
    assert_same(differentiate(compiled, *tensors), expected)
    for each in (problem, small()):
        with torch.autocast("cpu", torch.bfloat16):
            torch._dynamo.reset()
            assert torch.compile(call(each), fullgraph=True, backend="aot_eager")(*tensors).dtype == torch.bfloat16


def test_autocast_casts_as_for_a_matrix_product(folder):
    problem = small()
    tensors = (problem.query, *problem.sources)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            output = call(problem)(*tensors)
            mixed = call(problem)(tensors[0].bfloat16(), *tensors[1:])
            dropped = call(small(dropout_p=0.01))(*tensors)
        assert output.dtype == mixed.dtype == dropped.dtype == dtype
        exact = call(problem)(*tensors)
        assert (output.float() - exact).abs().max() < 0.03
        if dtype == torch.bfloat16:
            assert torch.equal(output, call(problem)(*(tensor.bfloat16() for tensor in tensors)))
    with torch.autocast("cpu", torch.bfloat16):
        got = differentiate(call(problem), *tensors)
        assert call(problem)(*(tensor.double() for tensor in tensors)).dtype == torch.float64
    assert [tensor.dtype for tensor in got] == [torch.bfloat16] + 5 * [torch.float32]


class Block(torch.nn.Module):
    """Two layers; the second reads half of its heads from the first, whose keys and values are handed over."""

    def __init__(self, dropout_p):
        super().__init__()
        self.first, self.second = torch.nn.Linear(16, 48), torch.nn.Linear(16, 48)
        self.dropout_p = dropout_p

    def project(self, layer, x):
        query, key, value = layer(x).chunk(3, -1)
        return [part.unflatten(-1, (2, 8)).transpose(1, 2) for part in (query, key, value)]

    def lend(self, x):
        query, key, value = self.project(self.first, x)
        output = skipattn.routed_attention(query, [key, value], problems.own_heads(2), dropout_p=self.dropout_p)
        return x + output.transpose(1, 2).flatten(2), key, value

    def borrow(self, x, lent_key, lent_value):
        query, key, value = self.project(self.second, x)
        output = skipattn.routed_attention(query, [key, value, lent_key, lent_value], [[(0, 0, 1, 0)], [(2, 1, 3, 1)]],
                                           dropout_p=self.dropout_p)
        return x + output.transpose(1, 2).flatten(2)

    def forward(self, x, run):
        x, key, value = run(self.lend, x)
        return run(self.borrow, x, key, value)


def test_checkpoints_give_the_same_gradients_also_to_the_layer_that_lends(folder):
    for dropout_p in (0.0, 0.4):
        block = Block(dropout_p)
        start = torch.randn(2, 7, 16)
        ways = {"plain": lambda function, *inputs: function(*inputs),
                "reentrant": lambda function, *inputs: checkpoint(function, *inputs, use_reentrant=True),
                "not reentrant": lambda function, *inputs: checkpoint(function, *inputs, use_reentrant=False)}
        gradients = {}
        for name, run in ways.items():
            torch.manual_seed(9)
            x = start.clone().requires_grad_()
            block.zero_grad()
            block(x, run).square().sum().backward()
            gradients[name] = [x.grad, *(parameter.grad.clone() for parameter in block.parameters())]
        for name in ways:
            assert all(map(torch.equal, gradients[name], gradients["plain"])), (dropout_p, name)
        assert block.first.weight.grad[24:32].abs().sum() > 0


def test_opcheck(folder):
    for problem in (small(), with_first_key()):
        leaves = problem.leaves()
        flat, offsets = flatten_routes(problem.routes)
        torch.library.opcheck(torch.ops.skipattn.routed_attention.default,
                              (leaves.query, leaves.sources, flat, offsets), problem.options)
        first_key = problem.options.get("first_key")
        torch.library.opcheck(routed_attention_dropout, (leaves.query, leaves.sources, torch.tensor(7), first_key, flat,
                                                         offsets, True, None, 0.3))


def test_gradcheck(folder):
    joint = problems.problems()[3]
    for problem in (small(torch.float64), with_first_key(torch.float64), joint):
        narrow = [tensor[:1, :, :3, :2].detach().requires_grad_() for tensor in (problem.query, *problem.sources)]
        options = {key: value[:1, :3] for key, value in problem.options.items()}
        assert torch.autograd.gradcheck(
            lambda query, *sources: skipattn.routed_attention(query, list(sources), problem.routes, **options), narrow)
        assert torch.autograd.gradgradcheck(lambda query, *sources: skipattn.routed_attention_reference(
            query, list(sources), problem.routes, **options)[0], narrow, fast_mode=True)


if __name__ == "__main__":
    harness.main(globals())
