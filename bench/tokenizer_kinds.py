#!/usr/bin/env python3
"""Encoding speed by kind of tokenizer, skipattn beside tokenizers on one thread: the books, equal ids checked first.

    .venv/bin/python bench/tokenizer_kinds.py --program build/bench/bench_tokenizer

Byte-level kinds have GPT-2's vocabulary and the pre-tokenizers of the models they are called after; the SentencePiece one
is trained on the books. Prints a table of 10^6 bytes a second (median of the repeats) and one line of JSON.
"""

import argparse
import array
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import tokenizer_peers as peers

sys.path.insert(0, str(peers.ROOT / "src/skipattn/tokenizer"))
import schemes_peer  # noqa: E402

KINDS = ("gpt2", "llama3", "qwen2", "gpt4o", "deepseek", "starcoder", "llama2")


def make_tokenizer(kind, gpt2_folder, text):
    from tokenizers import Tokenizer, models, pre_tokenizers

    if kind == "llama2":
        normalizer, _, decoder, trained_with, _ = schemes_peer.character_kinds()[kind]
        tokens, merges = schemes_peer.train(text, trained_with, 8000, False)
        tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *tokens]
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, unk_token="<unk>",
                                         fuse_unk=True, byte_fallback=True))
        tokenizer.normalizer, tokenizer.decoder = normalizer, decoder
        return tokenizer
    tokenizer = Tokenizer(models.BPE.from_file(str(gpt2_folder / "vocab.json"), str(gpt2_folder / "merges.txt")))
    if kind == "gpt2":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        normalizer, tokenizer.pre_tokenizer, _, _ = schemes_peer.byte_level_kinds()[kind]
        if normalizer:
            tokenizer.normalizer = normalizer
    return tokenizer


def measure(arguments, kind, folder, paths, texts):
    tokenizer = make_tokenizer(kind, folder / "gpt2", "\n".join(texts))
    (folder / kind / "tokenizer").mkdir(parents=True)
    tokenizer.save(str(folder / kind / "tokenizer/tokenizer.json"))
    ids_file = folder / kind / "ids.bin"
    command = [arguments.program, "--tokenizer", folder / kind / "tokenizer", "--threads", "1", "--ids", ids_file,
               "--repeats", str(arguments.repeats), *paths]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    ours = {row["what"]: row["mb_per_s"]["median"] for row in map(json.loads, lines)}
    begin = time.perf_counter()
    theirs = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    seconds = time.perf_counter() - begin
    if array.array("I", ids_file.read_bytes()).tolist() != [i for ids in theirs for i in ids]:
        sys.exit(f"the ids of skipattn and tokenizers differ for {kind}")
    return {"splitting": ours.get("split"), "skipattn": ours["encode"],
            "tokenizers": sum(path.stat().st_size for path in paths) / seconds / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=peers.ROOT / "build/bench/bench_tokenizer", type=pathlib.Path)
    parser.add_argument("--repeats", default=5, type=int)
    parser.add_argument("--documents", default=6, type=int, help="how many of the validation books")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        peers.unpack_vocabulary(folder / "vocabulary")
        (folder / "vocabulary").rename(folder / "gpt2")
        paths = peers.books(folder / "books")[:arguments.documents]
        texts = [path.read_bytes().decode() for path in paths]
        rows = {kind: measure(arguments, kind, folder, paths, texts) for kind in arguments.kinds}
    print("MB/s on one thread  ", *(f"{what:>10}" for what in next(iter(rows.values()))))
    for kind, row in rows.items():
        print(f"{kind:20}", *(f"{value:10.1f}" if value else f"{'':10}" for value in row.values()))
    print(json.dumps({"bench": "tokenizer_kinds", "mb_per_s": rows}))


if __name__ == "__main__":
    main()
