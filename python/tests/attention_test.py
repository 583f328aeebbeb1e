"""The operator beside its definition in plain torch operations: results, gradients, dropout, errors."""
import itertools

import torch

import harness
import problems
import skipattn


def differentiate(problem, function, weights, **changes):
    """Output, logsumexp and the gradients of sum(output * weights)."""
    leaves = problem.leaves()
    output, logsumexp = leaves.call(function, **changes)
    if output.requires_grad:  # not where the definition reads nothing at all
        (output * weights.to(output.dtype)).sum().backward()
    return [output.detach(), logsumexp.detach(),
            *[torch.zeros_like(x) if x.grad is None else x.grad for x in (leaves.query, *leaves.sources)]]


def with_logsumexp(*arguments, **options):
    return skipattn.routed_attention(*arguments, **options, return_logsumexp=True)


def test_the_compiled_operator_is_what_is_tested(folder):
    assert skipattn.has_compiled_operator()


def test_a_cuda_device_gets_the_operator_but_for_half_precision_and_dropout(folder):
    from types import SimpleNamespace
    from skipattn.attention import dtype_in_force, operator_serves

    def serves(dtype, device="cuda", dropout_p=0.0):
        return operator_serves(SimpleNamespace(device=SimpleNamespace(type=device), dtype=dtype), dropout_p)

    assert all(serves(dtype) for dtype in (torch.bfloat16, torch.float32, torch.float64))
    assert not serves(torch.float16) and not serves(torch.bfloat16, dropout_p=0.1)
    assert serves(torch.float32, "cpu", 0.1) and serves(torch.float16, "cpu") and not serves(torch.float32, "mps")
    with torch.autocast("cpu", dtype=torch.float16):
        assert [dtype_in_force(torch.empty(0, dtype=dtype)) for dtype in (torch.float32, torch.float64)] == [
            torch.float16, torch.float64]
    assert dtype_in_force(torch.empty(0)) == torch.float32


def test_equals_its_definition_in_fp64(folder):
    for problem in problems.problems():
        weights = torch.randn(problem.query.shape, dtype=torch.float64)
        expected = differentiate(problem, skipattn.routed_attention_reference, weights)
        for name, got, want in zip(("output", "logsumexp", "query", *"0123"), differentiate(problem, with_logsumexp, weights),
                                   expected):
            torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11, msg=lambda m: f"{problem.name}, {name}: {m}")


def test_float32_and_bfloat16_are_as_near_to_fp64_as_the_definition_in_that_dtype(folder):
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for dtype, device in itertools.product((torch.float32, torch.bfloat16), devices):
        for problem in problems.problems():
            problem = problem.to(dtype)
            weights = torch.randn(problem.query.shape, dtype=dtype)
            exact = differentiate(problem.to(torch.float64), skipattn.routed_attention_reference, weights)
            plain = differentiate(problem, skipattn.routed_attention_reference, weights)
            ours = [x.cpu() for x in differentiate(problem.on(device), with_logsumexp, weights.to(device))]
            for index, (got, rough, want) in enumerate(zip(ours, plain, exact)):
                seen = torch.isfinite(want)
                assert torch.equal(seen, torch.isfinite(got)), problem.name
                error, allowed = ((x.double() - want)[seen].abs().amax() if seen.any() else torch.tensor(0.0)
                                  for x in (got, rough))
                floor = 4 * torch.finfo(dtype).eps
                assert error <= 3 * allowed + floor, (problem.name, dtype, device, index, error.item(), allowed.item())


def test_output_is_laid_out_for_the_output_projection(folder):
    problem = problems.make("layout", problems.own_heads(4), 4, (4, 4))
    for function in (with_logsumexp, skipattn.routed_attention_reference):
        output = problem.call(function)[0]
        assert output.transpose(1, 2).flatten(2).data_ptr() == output.data_ptr()


def test_dropout_drops_what_the_definition_drops(folder):
    for problem in problems.problems():
        weights = torch.randn(problem.query.shape, dtype=torch.float64)
        seed = 2**40 + 12345
        ours = differentiate(problem, lambda q, s, r, **o: torch.ops.skipattn.routed_attention(
            q, s, *skipattn.attention.flatten_routes(r), **o, dropout_p=0.3, dropout_seed=seed), weights)
        expected = differentiate(problem, skipattn.routed_attention_reference, weights, dropout_p=0.3, dropout_seed=seed)
        for got, want in zip(ours, expected):
            torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


def test_dropout_is_drawn_from_torchs_generator(folder):
    problem = problems.make("dropout", problems.skip_heads(4, 1), 4, (1, 1, 3, 3), dtype=torch.float32, dropout_p=0.5)
    torch.manual_seed(3)
    first, second = (problem.call(skipattn.routed_attention) for _ in range(2))
    torch.manual_seed(3)
    assert torch.equal(first, problem.call(skipattn.routed_attention))
    assert not torch.equal(first, second)


def faults(problem, kind, says, function=skipattn.routed_attention, **changes):
    try:
        problem.call(function, **changes)
    except kind as error:
        assert says in str(error) and "\n" not in str(error), str(error)
        return str(error)
    raise AssertionError(f"accepted, expected: {says}")


def test_a_mistake_is_one_sentence_with_and_without_the_compiled_operator(folder):
    import dataclasses
    good = problems.make("good", problems.own_heads(2), 4, (2, 2), dtype=torch.float32)
    key, value = good.sources
    change = lambda **fields: dataclasses.replace(good, **fields)
    cases = [
        (change(query=good.query[0]), {}, "query must be [B, H, T, d], got [4, 17, 16]"),
        (change(query=good.query.half()), {}, "query must be float32, bfloat16 or float64, got Half"),
        (change(query=good.query[:, :0]), {}, "query must have at least one head"),
        (change(sources=[key, value[0]]), {}, "sources[1] must be [B, heads, S, d], got [2, 17, 16]"),
        (change(sources=[key[:1], value]), {}, "sources[0] must have query's batch 2 and head width 16"),
        (change(sources=[key, value[:, :, 1:]]), {}, "sources[1] must hold as many keys as sources[0], S = 17, got S = 16"),
        (change(sources=[key, value.double()]), {}, "sources[1] must have query's dtype Float, got Double"),
        (change(sources=[key, value.to("meta")]), {}, "sources[1] must be on query's device cpu, got meta"),
        (change(sources=[key, value.transpose(2, 3).contiguous().transpose(2, 3)]), {},
         "sources[1] must have unit stride in its last dimension, got strides [544, 272, 1, 17]"),
        (change(routes=problems.own_heads(3)), {}, "query heads must be a multiple of the KV heads"),
        (change(routes=[]), {}, "routes must have a list of pairs for each KV head, got none"),
        (change(routes=[[(0, 0, 2, 0)], []]), {}, "KV head 0 reads its values from sources[2], but there are 2 sources"),
        (change(routes=[[], [(0, 2, 1, 0)]]), {}, "KV head 1 reads its keys from head 2 of sources[0], which has 2 heads"),
        (good, {"dropout_p": 1.0}, "dropout_p must be in [0, 1), got 1"),
        (good, {"scale": 0.0}, "scale must be positive and finite, got 0"),
        (good, {"first_key": torch.zeros(2, 3, dtype=torch.int32)}, "first_key must be [B, T] = [2, 17], got [2, 3]"),
        (good, {"first_key": torch.zeros(2, 17, dtype=torch.int64)}, "first_key must be int32, got Long"),
    ]
    for problem, options, says in cases:
        compiled = faults(problem, ValueError, says, **options)
        plain = faults(problem, ValueError, says, skipattn.routed_attention_reference, **options)
        assert compiled == plain, (compiled, plain)


def test_a_wrong_kind_of_argument_is_named(folder):
    import dataclasses
    good = problems.make("good", problems.own_heads(2), 4, (2, 2), dtype=torch.float32)
    for field, value, says in [
            ("query", 3, "query must be a tensor [B, H, T, d], got int"),
            ("sources", good.query, "sources must be a list of tensors [B, heads, S, d], got Tensor"),
            ("sources", [good.query, None], "sources[1] must be a tensor [B, heads, S, d], got NoneType"),
            ("routes", [[(0, 0)], []], "routes[0] must be a list of (key tensor, key head, value tensor, value head)"),
            ("routes", [[(0, 0, 1, 0.5)], []], "whole numbers, got (0, 0, 1, 0.5) in it"),
            ("routes", [0, 1], "routes[0] must be a list"),
            ("options", {"first_key": 3}, "first_key must be an int32 tensor [B, T], got int")]:
        for function in (skipattn.routed_attention, skipattn.routed_attention_reference):
            faults(dataclasses.replace(good, **{field: value}), TypeError, says, function)


if __name__ == "__main__":
    harness.main(globals())
