"""Checks what peers_test.cpp wrote into a folder against the packages people use. Exit codes: 0 equal, 1 not, 77 when a
package is not there.

    peers_check.py ids FOLDER PACKAGE…      N.txt are documents, N.ids our ids (uint32) with FOLDER/vocabulary
    peers_check.py transformers FOLDER      FOLDER is a saved tokenizer, with documents beside it as above
    peers_check.py train FOLDER VOCAB_SIZE  FOLDER/merges.txt was trained on FOLDER/*.txt
"""

import array
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "bench"))


def documents(folder):
    for path in sorted(folder.glob("*.txt")):
        if path.name != "merges.txt":
            yield path, path.read_bytes().decode()


def our_ids(path):
    return array.array("I", path.with_suffix(".ids").read_bytes()).tolist()


def fail_where_different(name, path, ours, theirs, text_of):
    if ours == theirs:
        return
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    sys.exit(f"{path.name}: id {first} of {len(ours)} is {ours[first:first + 3]}, {name} has {theirs[first:first + 3]} "
             f"after {text_of(ours[max(0, first - 5):first])!r}")


def check_ids(folder, packages):
    import tokenizer_peers as peers

    load = {"tiktoken": peers.load_tiktoken, "tokenizers": peers.load_tokenizers}
    encoders = {name: load[name](folder / "vocabulary") for name in packages}
    encode = {"tiktoken": lambda e, texts: [e.encode_ordinary(text) for text in texts],
              "tokenizers": lambda e, texts: [one.ids for one in e.encode_batch_fast(texts)]}
    items = list(documents(folder))
    if not items:
        sys.exit("there is no document to check")
    for name, encoder in encoders.items():
        for begin in range(0, len(items), 32):  # at once, so that all threads are used and memory stays small
            paths, texts = zip(*items[begin:begin + 32])
            for path, ids in zip(paths, encode[name](encoder, texts)):
                fail_where_different(name, path, our_ids(path), ids, encoder.decode)


def check_transformers(folder):
    from transformers import AutoTokenizer, GPT2TokenizerFast

    size = len((folder / "merges.txt").read_text().splitlines()) - 1 + 257
    for kind in (AutoTokenizer, GPT2TokenizerFast):
        tokenizer = kind.from_pretrained(folder)
        if len(tokenizer) != size:
            sys.exit(f"{kind.__name__} has {len(tokenizer)} tokens, not {size}")
        if tokenizer.eos_token_id != size - 1:
            sys.exit(f"{kind.__name__} has the end-of-text id {tokenizer.eos_token_id}, not {size - 1}")
        for path, text in documents(folder):
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            fail_where_different(kind.__name__, path, our_ids(path), ids, tokenizer.decode)
            if tokenizer.decode(ids, clean_up_tokenization_spaces=False) != text:
                sys.exit(f"{kind.__name__} decodes {path.name} to another text")
    # A tokenizer.json of theirs is read by us: peers_test.cpp loads it afterwards.
    tokenizer.save_pretrained(folder / "theirs")


def check_train(folder, vocab_size):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, special_tokens=["<|endoftext|>"],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([text for _, text in documents(folder)], trainer)
    tokenizer.model.save(str(folder), "theirs")
    ours, theirs = ((folder / name).read_text().splitlines()[1:] for name in ("merges.txt", "theirs-merges.txt"))
    if ours != theirs:
        first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        sys.exit(f"merge {first} of {len(ours)} is {ours[first:first + 1]}, tokenizers has {theirs[first:first + 1]}")


def main():
    mode, folder, rest = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    if mode == "ids":
        check_ids(folder, rest)
    elif mode == "transformers":
        check_transformers(folder)
    else:
        check_train(folder, int(rest[0]))


if __name__ == "__main__":
    try:
        main()
    except ImportError as error:
        print(error)
        sys.exit(77)
