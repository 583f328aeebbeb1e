"""Tokenizers of the kinds that models have, made with the `tokenizers` package, and what it makes of a text with them; the
other half is schemes_test.cpp. Exit codes: 0 fine, 1 not, 77 when the package is not there.

    schemes_peer.py make FOLDER     trains on FOLDER/train.txt, writes FOLDER/KIND/tokenizer.json for each kind
    schemes_peer.py check FOLDER    FOLDER/KIND/data, prompt and text are, for each of FOLDER/texts, our ids of it as data
                                    and as a prompt (uint32), and the text that the first decode to; each of these files
                                    holds items of bytes, with their length before them (uint32)
"""

import array
import json
import pathlib
import sys

MARK = "\u2581"
CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d"
SIGNS_AND_SPACES = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERNS = {
    "llama3": rf"(?i:{CONTRACTIONS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{SIGNS_AND_SPACES}",
    "qwen2": rf"(?i:{CONTRACTIONS})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{SIGNS_AND_SPACES}",
    "gpt4": r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
            r"\s+(?!\S)|\s+",
    "gpt4o": rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+(?i:{CONTRACTIONS})?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*"
             rf"(?i:{CONTRACTIONS})?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "tekken": rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}|"
              r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "bloom": " ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+",
    "words": r"(?<=\s)\d+$|^\w\b|\w+\B|\w|[^\w\s]{2,}?|\x{3000}+|[[a-z]&&[^x]]|.",
}
DEEPSEEK = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
            r""" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def byte_level_kinds():
    """Name: normalizer, pre-tokenizer, whether tokens are taken whole, added tokens."""
    from tokenizers import AddedToken, Regex, normalizers, pre_tokenizers as pre

    last = pre.ByteLevel(add_prefix_space=False, use_regex=False)

    def split(pattern, behavior="isolated", invert=False):
        return pre.Sequence([pre.Split(Regex(pattern), behavior, invert), last])

    def special(text, **flags):
        return AddedToken(text, special=True, normalized=False, **flags)

    def ordinary(text, **flags):
        return AddedToken(text, special=False, **flags)

    usual = [special("<|begin|>"), special("<|end|>")]
    spaces = [ordinary(" " * n) for n in range(2, 10)]
    gpt2 = pre.ByteLevel(add_prefix_space=False)
    kinds = {name: (None, split(PATTERNS[name]), False, usual) for name in ("tekken", "bloom", "words")}
    kinds |= {
        "llama3": (None, split(PATTERNS["llama3"]), True, usual),
        "qwen2": (normalizers.NFC(), split(PATTERNS["qwen2"]), False, usual + [ordinary("<tool>", normalized=False)]),
        "gpt4": (None, split(PATTERNS["gpt4"], "removed", True), False, usual),
        "gpt4o": (None, split(PATTERNS["gpt4o"]), False, [special("<|begin|>", lstrip=True), special("<|end|>", rstrip=True)]),
        "deepseek": (None, pre.Sequence([*(pre.Split(Regex(p), "isolated") for p in DEEPSEEK), last]), False, usual),
        "starcoder": (None, pre.Sequence([pre.Digits(individual_digits=True), gpt2]), False, usual),
        "numbers": (None, pre.Sequence([pre.Digits(individual_digits=False), pre.Split("+.", "removed"), gpt2]), False, usual),
        "neox": (normalizers.NFC(), gpt2, False, usual + spaces + [ordinary("caf\u0301e"), ordinary("end", rstrip=True),
                                                           special("<mask>", lstrip=True)]),
        "prefix": (None, pre.ByteLevel(add_prefix_space=True), False, usual + [special("<mask>", lstrip=True)]),
    }
    return kinds


def character_kinds():
    """Name: normalizer, pre-tokenizer, decoder, pre-tokenizer to train with, flags of the added tokens."""
    from tokenizers import decoders, normalizers, pre_tokenizers as pre

    replace = normalizers.Replace(" ", MARK)
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    stripped = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    words, halves = pre.Metaspace(), pre.Split("e", "isolated")
    prepend = normalizers.Sequence([normalizers.Prepend(MARK), replace])
    return {
        "llama2": (prepend, None, stripped, words, {}),
        "llama": (None, pre.Metaspace(prepend_scheme="first", split=False), stripped, words, {}),
        "phi3": (prepend, None, stripped, words, {"rstrip": True}),
        "old": (prepend, None, stripped, words, {"normalized": True}),
        "gemma": (replace, pre.Split(" ", "merged_with_previous"), decoders.Sequence(steps), words, {}),
        "always": (None, pre.Metaspace(prepend_scheme="always", split=True), decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]), words, {}),
        "joined": (prepend, None, stripped, halves, {}),  # its merges join words to spaces after them
    }


def train(text, pre_tokenizer, size, byte_level):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    tokenizer.train_from_iterator([text if byte_level else text.replace(" ", MARK)],
                                  trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return list(model["vocab"]), [tuple(merge) for merge in model["merges"]]


def split_showing(tokens, merges):
    """Puts merges of a sign, a letter, … with any byte first, so that ids show where a text was split."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [(left, right) for left in "aA1!'\u0120\u010a" for right in alphabet]
    return list(dict.fromkeys([*tokens, *map("".join, pairs)])), list(dict.fromkeys([*pairs, *merges]))


def save(folder, name, tokenizer, added, before):
    from tokenizers import processors

    tokenizer.add_tokens(added)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before} $A", pair=f"{before} $A $B", special_tokens=[(before, tokenizer.token_to_id(before))])
    (folder / name).mkdir()
    tokenizer.save(str(folder / name / "tokenizer.json"))


def make(folder):
    from tokenizers import AddedToken, Tokenizer, decoders, models

    text = (folder / "train.txt").read_bytes().decode()
    for name, (normalizer, pre_tokenizer, whole, added) in byte_level_kinds().items():
        tokens, merges = train(text, pre_tokenizer, 1500, True)
        if whole:  # as in Llama 3's file, some tokens are made by no merge
            merges = [pair for i, pair in enumerate(merges) if i % 3]
        else:
            tokens, merges = split_showing(tokens, merges)
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, ignore_merges=whole))
        tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoders.ByteLevel()
        save(folder, name, tokenizer, added, "<|begin|>")
    trained = {}
    for name, (normalizer, pre_tokenizer, decoder, trained_with, flags) in character_kinds().items():
        if trained_with not in trained:
            trained[trained_with] = train(text, trained_with, 1500, False)
        tokens, merges = trained[trained_with]
        tokens = list(dict.fromkeys([*tokens, 2 * MARK, 4 * MARK]))
        merges = list(dict.fromkeys([(MARK, MARK), (2 * MARK, 2 * MARK), *merges]))
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *tokens]
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, unk_token="<unk>",
                                         fuse_unk=True, byte_fallback=True))
        if normalizer:
            tokenizer.normalizer = normalizer
        if pre_tokenizer:
            tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoder
        flags = {"normalized": False} | flags
        added = [AddedToken(text, special=True, **flags) for text in ("<unk>", "<s>", "</s>", "<|end|>")]
        save(folder, name, tokenizer, [*added, AddedToken("<tool>", special=False, **flags)], "<s>")


def fail_where_different(what, ours, theirs, tokenizer):
    if ours == theirs:
        return
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    around = (tokenizer.decode(theirs[max(0, first - 5):first + 5], skip_special_tokens=False)
              if isinstance(ours, list) else theirs[max(0, first - 20):first + 20])
    sys.exit(f"{what}: item {first} of {len(ours)} is {ours[first:first + 4]!r}, tokenizers has "
             f"{theirs[first:first + 4]!r} at {around!r}")


def items(path):
    content, place = path.read_bytes(), 0
    while place < len(content):
        size = int.from_bytes(content[place:place + 4], "little")
        yield content[place + 4:place + 4 + size]
        place += 4 + size


def check(folder):
    from tokenizers import Tokenizer

    texts = [item.decode() for item in items(folder / "texts")]
    kinds = [path.parent for path in sorted(folder.glob("*/tokenizer.json"))]
    if not texts or not kinds:
        sys.exit("there is nothing to check")
    for kind in kinds:
        tokenizer = Tokenizer.from_file(str(kind / "tokenizer.json"))
        decoded = [item.decode() for item in items(kind / "text")]
        for what in ("data", "prompt"):
            if not (kind / what).exists():
                continue
            ours = [array.array("I", item).tolist() for item in items(kind / what)]
            tokenizer.encode_special_tokens = what == "data"
            theirs = [one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=what == "prompt")]
            if len(ours) != len(theirs) or len(decoded) != len(theirs):
                sys.exit(f"{kind.name}: {len(ours)} and {len(decoded)} items for {len(theirs)} texts")
            for i in range(len(texts)):
                fail_where_different(f"{kind.name}, text {i} as {what}", ours[i], theirs[i], tokenizer)
                if what == "data":
                    fail_where_different(f"{kind.name}, text {i} decoded", decoded[i],
                                         tokenizer.decode(theirs[i], skip_special_tokens=False), tokenizer)


if __name__ == "__main__":
    try:
        {"make": make, "check": check}[sys.argv[1]](pathlib.Path(sys.argv[2]))
    except ImportError as error:
        print(error)
        sys.exit(77)
