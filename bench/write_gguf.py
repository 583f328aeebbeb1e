#!/usr/bin/env python3
"""Writes a GGUF file with random weights in the shape of GPT-2 124M or of a 1.1B Llama, for bench_generation.py.

    python bench/write_gguf.py --shape gpt2 --type bf16 --positions 4224 --out gpt2-bf16.gguf

Needs the package gguf. The file has no tokenizer: llama-bench draws token ids.
"""

import argparse

import gguf
import numpy as np

SHAPES = {
    "gpt2": {"arch": "gpt2", "layers": 12, "heads": 12, "kv_heads": 12, "width": 768, "mlp": 3072, "vocabulary": 50257},
    "llama-1.1b": {"arch": "llama", "layers": 22, "heads": 32, "kv_heads": 4, "width": 2048, "mlp": 5632,
                   "vocabulary": 32000},
}
TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16,
         "bf16": gguf.GGMLQuantizationType.BF16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16,
              "bf16": gguf.LlamaFileType.MOSTLY_BF16, "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}


def matrices(shape):
    """(name, rows, columns) of everything that is multiplied."""
    width, kv = shape["width"], shape["kv_heads"] * shape["width"] // shape["heads"]
    yield "token_embd", shape["vocabulary"], width
    if shape["arch"] == "llama":
        yield "output", shape["vocabulary"], width
    for layer in range(shape["layers"]):
        block = f"blk.{layer}."
        if shape["arch"] == "gpt2":
            yield block + "attn_qkv", 3 * width, width
        else:
            yield block + "attn_q", width, width
            yield block + "attn_k", kv, width
            yield block + "attn_v", kv, width
            yield block + "ffn_gate", shape["mlp"], width
        yield block + "attn_output", width, width
        yield block + "ffn_up", shape["mlp"], width
        yield block + "ffn_down", width, shape["mlp"]


def add_settings(writer, shape, positions):
    writer.add_context_length(positions)
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["mlp"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_vocab_size(shape["vocabulary"])
    writer.add_tokenizer_model("no_vocab")
    if shape["arch"] == "gpt2":
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(shape["width"] // shape["heads"])
        writer.add_rope_freq_base(10000.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--type", choices=TYPES, required=True)
    parser.add_argument("--positions", type=int, required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    shape = SHAPES[arguments.shape]
    # Drawn once and repeated: speed does not depend on it.
    pool = np.random.default_rng(1).standard_normal(4_000_037, dtype=np.float32) * np.float32(0.02)
    writer = gguf.GGUFWriter(arguments.out, shape["arch"], use_temp_file=True)
    writer.add_file_type(FILE_TYPES[arguments.type])
    add_settings(writer, shape, arguments.positions)

    def vector(name, size, value):
        writer.add_tensor(name, np.full(size, value, dtype=np.float32))

    for name, rows, columns in matrices(shape):
        numbers = np.resize(pool, (rows, columns))
        kind = TYPES[arguments.type]
        writer.add_tensor(name + ".weight", gguf.quants.quantize(numbers, kind), raw_dtype=kind)
        if shape["arch"] == "gpt2" and name != "token_embd":
            vector(name + ".bias", rows, 0)
    norms = ["output_norm"] + [f"blk.{layer}.{norm}" for layer in range(shape["layers"])
                               for norm in ("attn_norm", "ffn_norm")]
    for norm in norms:
        vector(norm + ".weight", shape["width"], 1)
        if shape["arch"] == "gpt2":
            vector(norm + ".bias", shape["width"], 0)
    if shape["arch"] == "gpt2":
        writer.add_tensor("position_embd.weight", np.resize(pool, (arguments.positions, shape["width"])))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
