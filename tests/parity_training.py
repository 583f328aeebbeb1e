"""Ten training steps from the same weights and tokens: our losses within 1e-4 of plain PyTorch's, for every kind of routing."""
import json

import harness
from harness import run, run_json

harness.require("torch", "transformers", "numpy")
import torch

from parity_transformers import ROUTINGS, random_gpt2
from plain_gpt import PlainGpt, decayed_and_not

CONTEXT, BATCH, STEPS = 48, 4, 10


def plain_losses(model, tokens):
    """Ten AdamW steps with clipping on sequential windows, of which the file holds two batches: then they come again."""
    decayed, other = decayed_and_not(model)
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}],
                                  lr=3e-3, betas=(0.9, 0.95), eps=1e-8)
    losses = []
    for step in range(STEPS):
        begins = [(step * BATCH + row) % (2 * BATCH) * CONTEXT for row in range(BATCH)]
        inputs = torch.stack([torch.from_numpy(tokens[b:b + CONTEXT]) for b in begins]).long()
        targets = torch.stack([torch.from_numpy(tokens[b + 1:b + CONTEXT + 1]) for b in begins]).long()
        loss = torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def our_losses(folder, out, routing, *settings):
    config = folder / "run.toml"
    config.write_text(harness.toml(
        model={"routing": routing}, data={"train": str(folder / "train.bin"), "context": CONTEXT, "order": "sequential"},
        training={"steps": STEPS, "batch_size": BATCH, "learning_rate": 3e-3, "schedule": "constant", "warmup_steps": 0,
                  "weight_decay": 0.1, "grad_clip": 1.0}))
    overrides = [item for setting in settings for item in ("--set", setting)]
    run_json("train", "--config", config, "--init", folder / "hf", "--out", folder / out, "--dtype", "fp32", *overrides)
    rows = [json.loads(line) for line in (folder / out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return [row["loss"] for row in rows]


def assert_close(ours, theirs, limit=1e-4):
    worst = max(abs(a - b) for a, b in zip(ours, theirs))
    assert worst <= limit, f"largest difference {worst}\n{ours}\n{theirs}"
    print(f"         losses {theirs[0]:.3f} -> {theirs[-1]:.3f}, largest difference {worst:.1e}")


def test_ten_steps_of_every_routing(folder):
    state = random_gpt2(folder / "hf").state_dict()
    tokens = harness.write_tokens(folder / "train.bin", 2 * BATCH * CONTEXT + 1, 311)
    for number, routing in enumerate(["baseline", *ROUTINGS]):
        routes = run_json("plan", "--model", folder / "hf", "--routing", routing)["routes"]
        torch.manual_seed(1)
        theirs = plain_losses(PlainGpt(state, 4, 4, routes), tokens)
        assert theirs[-1] < theirs[0] - 0.1, f"nothing moved, so nothing was compared: {theirs}"
        assert_close(our_losses(folder, f"run{number}", routing), theirs)


def test_micro_batches_and_recomputation_change_nothing(folder):
    random_gpt2(folder / "hf")
    harness.write_tokens(folder / "train.bin", 2 * BATCH * CONTEXT + 1, 311)
    whole = our_losses(folder, "whole", "sla(distance=2, heads=3)")
    assert_close(our_losses(folder, "micro", "sla(distance=2, heads=3)", "training.micro_batch_size=1"), whole, 2e-5)
    assert our_losses(folder, "recomputed", "sla(distance=2, heads=3)", "training.recompute=true") == whole


if __name__ == "__main__":
    harness.main(globals())
