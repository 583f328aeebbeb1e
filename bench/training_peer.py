#!/usr/bin/env python3
"""Training steps of one peer in a process of its own; bench_training.py calls it.

    python bench/training_peer.py --peer nanogpt --nanogpt FOLDER --batch 4 --context 1024 --steps 5

GPT-2 of 124M parameters (or --model gpt2-medium), random weights and tokens, bf16 autocast, AdamW, gradients clipped at 1. A
step is what the peer's own training loop does: forward, backward, clip, update. Prints one line of JSON: step_ms (a list),
first_loss, peak_memory_bytes (of the card; null on the CPU).
"""

import argparse
import json
import pathlib
import sys
import time

import torch

VOCABULARY = 50257
SHAPES = {"gpt2": (12, 12, 768), "gpt2-medium": (24, 16, 1024)}  # layers, heads, width


def nanogpt(arguments):
    """nanoGPT's model.py as it is, with a longer block_size; the optimizer it configures itself."""
    sys.path.insert(0, str(arguments.nanogpt))
    from model import GPT, GPTConfig

    layers, heads, width = SHAPES[arguments.model]
    model = GPT(GPTConfig(block_size=arguments.context, n_layer=layers, n_head=heads, n_embd=width)).to(arguments.device)
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), arguments.device)
    if arguments.peer == "nanogpt-compile":
        model = torch.compile(model)
    return model, optimizer, lambda tokens, targets: model(tokens, targets)[1]


def transformers(arguments):
    """GPT2LMHeadModel with torch's fused attention, and the optimizer that Trainer takes by default."""
    from transformers import GPT2Config, GPT2LMHeadModel

    layers, heads, width = SHAPES[arguments.model]
    config = GPT2Config(n_positions=arguments.context, n_layer=layers, n_head=heads, n_embd=width, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False, attn_implementation="sdpa")
    model = GPT2LMHeadModel(config).to(arguments.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    return model, optimizer, lambda tokens, targets: model(input_ids=tokens, labels=tokens).loss


PEERS = {"nanogpt": nanogpt, "nanogpt-compile": nanogpt, "transformers": transformers}


def wait_for(device):
    if device == "cuda":
        torch.cuda.synchronize()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--nanogpt", type=pathlib.Path, help="folder with nanoGPT's model.py")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", choices=SHAPES, default="gpt2")
    arguments = parser.parse_args()

    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("high")  # as nanoGPT's train.py
    sys.stdout, stdout = sys.stderr, sys.stdout  # what peers print is not the result
    model, optimizer, loss_of = PEERS[arguments.peer](arguments)
    model.train()
    losses, times = [], []
    for _ in range(arguments.warmup + arguments.steps):
        drawn = torch.randint(0, VOCABULARY, (arguments.batch, arguments.context + 1))
        tokens, targets = (part.contiguous().to(arguments.device) for part in (drawn[:, :-1], drawn[:, 1:]))
        wait_for(arguments.device)
        begin = time.perf_counter()
        with torch.amp.autocast(device_type=arguments.device, dtype=torch.bfloat16):
            loss = loss_of(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        del loss
        times.append(1e3 * (time.perf_counter() - begin))
    peak = torch.cuda.max_memory_allocated() if arguments.device == "cuda" else None
    print(json.dumps({"step_ms": times[arguments.warmup:], "first_loss": losses[0], "peak_memory_bytes": peak}), file=stdout)


if __name__ == "__main__":
    main()
