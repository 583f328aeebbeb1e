#!/usr/bin/env python3
"""Prompts and decoding by Transformers in a process of its own; bench_generation.py calls it.

    python bench/generation_peer.py --shape gpt2 --context 512 --dtype bf16

Random weights and tokens, one sequence. Prints one line of JSON: prefill and decode, tokens a second, medians.
"""

import argparse
import json
import statistics
import sys
import time

import torch


def make_model(shape, positions):
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    if shape == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_positions=positions, attn_implementation="sdpa"))
    return LlamaForCausalLM(LlamaConfig(hidden_size=2048, intermediate_size=5632, num_hidden_layers=22,
                                        num_attention_heads=32, num_key_value_heads=4, vocab_size=32000,
                                        max_position_embeddings=positions, attn_implementation="sdpa"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=("gpt2", "llama-1.1b"), required=True)
    parser.add_argument("--context", type=int, required=True)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.manual_seed(1)
    torch.set_num_threads(arguments.threads)
    sys.stdout, stdout = sys.stderr, sys.stdout  # what others print is not the result
    positions = arguments.context + arguments.tokens + 1
    model = make_model(arguments.shape, positions).eval()
    model.to(torch.bfloat16 if arguments.dtype == "bf16" else torch.float32)
    tokens = torch.randint(0, 30000, (1, arguments.context))
    prefill, decode = [], []
    with torch.inference_mode():
        model(tokens[:, :32], use_cache=True)
        for _ in range(arguments.prompts):
            begin = time.perf_counter()
            output = model(tokens, use_cache=True, logits_to_keep=1)
            prefill.append(arguments.context / (time.perf_counter() - begin))
        for _ in range(arguments.tokens):
            begin = time.perf_counter()
            output = model(output.logits[:, -1:].argmax(-1), use_cache=True, past_key_values=output.past_key_values)
            decode.append(1 / (time.perf_counter() - begin))
    assert torch.isfinite(output.logits).all()
    print(json.dumps({"prefill": statistics.median(prefill), "decode": statistics.median(decode)}), file=stdout)


if __name__ == "__main__":
    main()
