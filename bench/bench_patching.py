"""Training steps of a Transformers GPT-2 124M: as it is (sdpa), patched, and patched with the fused loss.

    PYTHONPATH=python python bench/bench_patching.py --context 4096 --rounds 3

One process, alternating; a step is forward, backward and AdamW under bf16 autocast; speedups are against the first. Before
anything is timed, a patched baseline must give the model's own loss and the fused loss the plain one.
"""
import argparse
import copy
import json
import statistics
import time

import torch
import transformers

import skipattn


def gpt2(context):
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_positions=context, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0)
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").train()


def loss_of(model, ids):
    with torch.autocast("cpu", torch.bfloat16):
        return model(ids, labels=ids, use_cache=False).loss


def validate(model):
    """Small contexts are enough to see a wrong loss."""
    ids = torch.randint(0, 50257, (1, 96))
    with torch.no_grad():
        expected = loss_of(model, ids).item()
        patched = skipattn.patch(copy.deepcopy(model), "baseline")
        found = [loss_of(patched, ids).item()]
        patched.fused_loss = True
        found.append(loss_of(patched, ids).item())
    assert all(abs(loss - expected) < 5e-3 for loss in found), (expected, found)


def contestants(model, names, routing):
    """The models that are named, each with its optimizer."""
    models = {"unpatched": lambda: copy.deepcopy(model),
              "patched": lambda: skipattn.patch(copy.deepcopy(model), routing),
              "fused": lambda: skipattn.patch(copy.deepcopy(model), routing, fused_loss=True)}
    made = {name: models[name]() for name in names}
    return {name: (each, torch.optim.AdamW(each.parameters(), lr=1e-4, fused=True)) for name, each in made.items()}


def step(model, optimizer, ids):
    begin = time.perf_counter()
    loss_of(model, ids).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--context", type=int, default=4096, help="tokens of the one sequence in a step")
    parser.add_argument("--rounds", type=int, default=3, help="steps of each model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--routing", default="sla(distance=9, heads=9)")
    parser.add_argument("--models", default="unpatched,patched,fused", help="which are timed; every other round backwards")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    assert skipattn.has_compiled_operator(), "build the operator first"
    model = gpt2(arguments.context)
    validate(model)
    models = contestants(model, arguments.models.split(","), arguments.routing)
    ids = torch.randint(0, 50257, (1, arguments.context))
    for name, (each, optimizer) in models.items():  # the process has grown to its size before anything is timed
        step(each, optimizer, ids if name == list(models)[-1] else ids[:, :64])
    seconds = {name: [] for name in models}
    for turn in range(arguments.rounds):
        for name in list(models)[::1 if turn % 2 == 0 else -1]:
            seconds[name].append(step(*models[name], ids))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    result = {"context": arguments.context, "routing": arguments.routing, "threads": arguments.threads, "seconds": seconds,
              "speedup": {name: first / median for name, median in medians.items()}}
    if arguments.json:
        print(json.dumps(result))
        return
    for name, times in seconds.items():
        print(f"{name:<10} {medians[name]:7.2f} s   {result['speedup'][name]:.2f}x   {' '.join(f'{t:.2f}' for t in times)}")


if __name__ == "__main__":
    main()
