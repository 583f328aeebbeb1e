"""Training steps of a Transformers GPT-2 124M: as it is (sdpa), patched, and patched with the fused loss.

    PYTHONPATH=python python bench/bench_patching.py --context 4096 --rounds 3

One process, alternating; a step is forward, backward and AdamW under bf16 autocast. Before anything is timed, a patched
baseline must give the model's own loss and the fused loss the plain one.
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


def contestants(model, routing):
    made = {"unpatched": model, "patched": skipattn.patch(copy.deepcopy(model), routing),
            "patched, fused loss": skipattn.patch(copy.deepcopy(model), routing, fused_loss=True)}
    return {name: (model, torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)) for name, model in made.items()}


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
    parser.add_argument("--reverse", action="store_true", help="begin with the last one; every other round runs backwards")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    assert skipattn.has_compiled_operator(), "build the operator first"
    model = gpt2(arguments.context)
    validate(model)
    models = contestants(model, arguments.routing)
    ids = torch.randint(0, 50257, (1, arguments.context))
    for model, optimizer in models.values():
        step(model, optimizer, ids[:, :64])
    seconds = {name: [] for name in models}
    for turn in range(arguments.rounds):
        order = list(models.items())
        for name, (model, optimizer) in order if (turn % 2 == 0) != arguments.reverse else reversed(order):
            seconds[name].append(step(model, optimizer, ids))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {"context": arguments.context, "routing": arguments.routing, "threads": arguments.threads, "seconds": seconds,
              "speedup": {name: medians["unpatched"] / median for name, median in medians.items()}}
    if arguments.json:
        print(json.dumps(result))
        return
    for name, times in seconds.items():
        print(f"{name:<20} {medians[name]:7.2f} s   {result['speedup'][name]:.2f}x   {' '.join(f'{t:.2f}' for t in times)}")


if __name__ == "__main__":
    main()
