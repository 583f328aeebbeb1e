"""The package without its library: one warning, and plain torch operations that give the same."""
import os
import subprocess
import sys
import warnings

os.environ["SKIPATTN_OPERATOR"] = "/nowhere/libskipattn_operator.so"
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import skipattn
import torch

import harness
import problems


def differentiate(problem, function, weights, **changes):
    leaves = problem.leaves()
    output = leaves.call(function, **changes)
    if output.requires_grad:
        (output * weights).sum().backward()
    return [output.detach(), *[torch.zeros_like(x) if x.grad is None else x.grad for x in (leaves.query, *leaves.sources)]]


def definition(*arguments, **options):
    return skipattn.routed_attention_reference(*arguments, **options)[0]


def test_importing_gives_one_warning(folder):
    assert [str(warning.message) for warning in seen] == [
        "skipattn runs on plain torch operations, which are slow: libskipattn_operator.so was not built (no C++ compiler "
        "when it was installed?); `pip install --force-reinstall --no-deps` of skipattn builds it again"]
    assert seen[0].category is RuntimeWarning and not skipattn.has_compiled_operator()


def test_a_library_that_does_not_fit_is_told_apart(folder):
    (folder / "lib.so").write_text("no library")
    for torch_version, says in (("2.3.1", f"was built for torch 2.3.1, and this is torch {torch.__version__}"),
                                (torch.__version__, "cannot be loaded: ")):
        (folder / "lib.json").write_text('{"torch": "%s"}' % torch_version)
        done = subprocess.run([sys.executable, "-c", "import skipattn; print(skipattn.has_compiled_operator())"], text=True,
                              env={**os.environ, "SKIPATTN_OPERATOR": str(folder / "lib.so")}, capture_output=True)
        assert done.stdout == "False\n" and says in done.stderr and done.stderr.count("RuntimeWarning") == 1, done.stderr


def test_equals_the_definition(folder):
    for problem in problems.problems():
        weights = torch.randn(problem.query.shape, dtype=torch.float64)
        for got, want in zip(differentiate(problem, skipattn.routed_attention, weights),
                             differentiate(problem, definition, weights)):
            torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10, msg=lambda m: f"{problem.name}: {m}")
        output, logsumexp = problem.call(skipattn.routed_attention, return_logsumexp=True)
        torch.testing.assert_close(logsumexp, problem.call(skipattn.routed_attention_reference)[1])


def test_runs_are_as_long_as_they_can_be(folder):
    from skipattn.runs import head_runs
    assert head_runs(problems.own_heads(4)) == [(0, 4)]
    assert head_runs(problems.skip_heads(4, 1)) == [(0, 1), (1, 3)]
    assert head_runs(problems.JOINT) == [(0, 1), (1, 1), (2, 1), (3, 1)]
    assert head_runs([[(0, 0, 1, 0)], [(0, 1, 1, 2)], [(0, 2, 1, 3)]]) == [(0, 1), (1, 2)]


def test_dropout_keeps_the_mean_and_follows_the_generator(folder):
    for routes in (problems.skip_heads(2, 1), [[(0, 0, 1, 0), (2, 0, 3, 0)], [(2, 0, 3, 0)]]):
        problem = problems.make("dropout", routes, 2, (1, 1, 1, 1), queries=3, keys=12)
        exact = problem.call(skipattn.routed_attention)
        torch.manual_seed(1)
        drawn = torch.stack([problem.call(skipattn.routed_attention, dropout_p=0.4) for _ in range(600)])
        assert (drawn.mean(0) - exact).abs().max() < 6 * (drawn.std(0) / 600**0.5).max()
        torch.manual_seed(1)
        assert torch.equal(problem.call(skipattn.routed_attention, dropout_p=0.4), drawn[0])


def test_float16_and_autocast(folder):
    problem = problems.problems(torch.float32)[1]
    exact = problem.call(skipattn.routed_attention)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            output = problem.call(skipattn.routed_attention)
        assert output.dtype == dtype and (output - exact).abs().max() < 0.05
        assert torch.equal(output, problem.to(dtype).call(skipattn.routed_attention))


def test_compiles_without_a_graph_break(folder):
    for problem in problems.problems(torch.float32)[1:4]:
        compiled = torch.compile(lambda *tensors: skipattn.routed_attention(
            tensors[0], list(tensors[1:]), problem.routes, **problem.options), fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(problem.query, *problem.sources), problem.call(skipattn.routed_attention))


if __name__ == "__main__":
    harness.main(globals())
