#!/usr/bin/env python3
"""Encoding speed of skipattn beside tiktoken and tokenizers: the same books, GPT-2's vocabulary, equal ids checked first.

    .venv/bin/python bench/tokenizer_peers.py --program build/bench/bench_tokenizer
    .venv/bin/python bench/tokenizer_peers.py --text corpus/*.txt          # each file is one document

Prints a table of 10^6 bytes a second (median of the repeats) and one line of JSON. Without --text the validation books
of the shared data are read (SKIPATTN_SHARED_DATA, else ../shared/data). Training is compared as well (--train 0: not).
"""

import argparse
import array
import json
import lzma
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("SKIPATTN_SHARED_DATA", ROOT.parent / "shared/data"))
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default=ROOT / "build/bench/bench_tokenizer", type=pathlib.Path)
    parser.add_argument("--text", nargs="+", type=pathlib.Path, help="documents, instead of the books")
    parser.add_argument("--repeats", default=5, type=int)
    parser.add_argument("--train", default=4096, type=int, help="size of a vocabulary to train; 0: none")
    return parser.parse_args()


def unpack_vocabulary(folder):
    folder.mkdir()
    for packed, name in (("encoder.json.xz", "vocab.json"), ("vocab.bpe.xz", "merges.txt")):
        (folder / name).write_bytes(lzma.decompress((DATA / "gpt2_bpe" / packed).read_bytes()))
    return folder


def books(folder):
    folder.mkdir()
    lines = lzma.decompress((DATA / "books_pd/val.jsonl.xz").read_bytes()).split(b"\n")
    paths = []
    for line in filter(None, lines):
        paths.append(folder / f"{len(paths):03}.txt")
        paths[-1].write_bytes(json.loads(line)["text"].encode())
    return paths


def byte_alphabet():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {**{chr(b): b for b in printable}, **{chr(256 + i): b for i, b in enumerate(others)}}


def load_tiktoken(folder):
    import tiktoken

    alphabet = byte_alphabet()
    ids = json.loads((folder / "vocab.json").read_text())
    end = ids.pop("<|endoftext|>")
    ranks = {bytes(alphabet[c] for c in token): rank for token, rank in ids.items()}
    return tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": end})


def load_tokenizers(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return tokenizer


def speed(work, size, repeats):
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return size / statistics.median(seconds) / 1e6


def measure_ours(arguments, vocabulary, paths, ids_file):
    command = [arguments.program, "--tokenizer", vocabulary, "--threads", "1,2", "--ids", ids_file,
               "--repeats", str(arguments.repeats), "--train", str(arguments.train), *paths]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    return {(row["what"], row["threads"]): row["mb_per_s"]["median"] for row in rows}


def train_tokenizers(texts, vocab_size):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)


def main():
    arguments = parse_arguments()
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        vocabulary = unpack_vocabulary(folder / "gpt2")
        paths = arguments.text or books(folder / "books")
        texts = [path.read_bytes().decode() for path in paths]
        size = sum(path.stat().st_size for path in paths)

        ours = measure_ours(arguments, vocabulary, paths, folder / "ids.bin")
        our_ids = array.array("I", (folder / "ids.bin").read_bytes())
        tiktoken, tokenizers = load_tiktoken(vocabulary), load_tokenizers(vocabulary)
        for name, ids in (("tiktoken", [i for t in texts for i in tiktoken.encode_ordinary(t)]),
                          ("tokenizers", [i for e in tokenizers.encode_batch(texts) for i in e.ids])):
            if list(our_ids) != ids:
                sys.exit(f"the ids of skipattn and {name} differ")

        repeats = arguments.repeats
        rows = {
            "tiktoken, 1 thread": speed(lambda: [tiktoken.encode_ordinary(t) for t in texts], size, repeats),
            "tiktoken, 2 threads": speed(lambda: tiktoken.encode_ordinary_batch(texts, num_threads=2), size, repeats),
            "tokenizers, all threads": speed(lambda: tokenizers.encode_batch_fast(texts), size, 1),
            "skipattn, 1 thread, nothing cached": ours["encode, nothing cached", 1],
            "skipattn, 1 thread": ours["encode", 1],
            "skipattn, 2 threads": ours["encode", 2],
            "skipattn, splitting alone": ours["split", 1],
        }
        if arguments.train:
            rows["train: tokenizers, all threads"] = speed(lambda: train_tokenizers(texts, arguments.train), size, 1)
            rows["train: skipattn, 1 thread"] = ours["train", 1]

    print(f"{len(texts)} documents, {size} bytes, {len(our_ids)} ids, equal for all three")
    for name, value in rows.items():
        print(f"{name:36} {value:8.1f} MB/s  {value / rows['tiktoken, 1 thread']:6.1f} x tiktoken on one thread")
    print(json.dumps({"bench": "tokenizer_peers", "bytes": size, "mb_per_s": {k: round(v, 1) for k, v in rows.items()}}))


if __name__ == "__main__":
    main()
