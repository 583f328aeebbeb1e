#!/usr/bin/env python3
"""Writes src/skipattn/tokenizer/unicode_tables.cpp: which characters are letters, numbers and white space.

The tables must be those of the Unicode version that the packages `tokenizers` and `tiktoken` were built with, not of
the newest one, so they are taken from these packages: each code point is put beside a letter, a digit and a
punctuation mark, and how GPT-2's pattern splits the pair tells its class. Stops when the two packages disagree.

    .venv/bin/python scripts/make_unicode_tables.py            # writes the file
    .venv/bin/python scripts/make_unicode_tables.py --check    # exit code 1 when the file is out of date
"""

import argparse
import pathlib
import sys

import tiktoken
import tokenizers
from tokenizers.pre_tokenizers import ByteLevel

TARGET = pathlib.Path(__file__).resolve().parent.parent / "src/skipattn/tokenizer/unicode_tables.cpp"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
# A letter that each Unicode version was the first to have, so that the file can say which version it holds.
FIRST_OF_VERSION = {14: 0x0870, 15: 0x1DF25, 15.1: 0x2EBF0, 16: 0x1C89, 17: 0xA7CE}


def classes_of_tokenizers():
    split = ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str

    def kind(character):
        for neighbour, name in (("a", "letters"), ("1", "numbers"), ("!", "others")):
            if len(split(neighbour + character)) == 1:
                return name
        return "spaces"

    return [kind(chr(c)) for c in CODE_POINTS]


def classes_of_tiktoken():
    ranks = {bytes([i]): i for i in range(256)}
    patterns = {"letters": r"\p{L}", "numbers": r"\p{N}", "spaces": r"\s"}
    matchers = [(name, tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={}))
                for name, pattern in patterns.items()]

    def kind(character):
        return next((name for name, matcher in matchers if matcher.encode_ordinary(character)), "others")

    return [kind(chr(c)) for c in CODE_POINTS]


def ranges(code_points):
    result = []
    for c in code_points:
        if result and result[-1][1] + 1 == c:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def table(name, pairs):
    items = [f"{{0x{first:X}, 0x{last:X}}}," for first, last in pairs]
    lines, line = [], "   "
    for item in items:
        if len(line) + 1 + len(item) > 118:
            lines.append(line)
            line = "   "
        line += " " + item
    lines.append(line)
    return (f"const CodePointRange k{name}[] = {{\n" + "\n".join(lines) + "\n};\n"
            f"const std::size_t k{name}Count = sizeof(k{name}) / sizeof(k{name}[0]);\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()

    kinds = classes_of_tokenizers()
    different = [c for c, a, b in zip(CODE_POINTS, kinds, classes_of_tiktoken()) if a != b]
    if different:
        sys.exit(f"tokenizers and tiktoken disagree on {len(different)} code points, the first is U+{different[0]:04X}")
    kind_of = dict(zip(CODE_POINTS, kinds))
    version = max(v for v, c in FIRST_OF_VERSION.items() if kind_of[c] == "letters")

    text = ("// Made by scripts/make_unicode_tables.py, not by hand.\n"
            f"// Unicode {version}, as tokenizers {tokenizers.__version__} and tiktoken {tiktoken.__version__} have it.\n"
            '#include "skipattn/tokenizer/unicode_tables.h"\n\nnamespace skipattn::tokenizer::unicode {\n\n'
            "// clang-format off\n")
    for name in ("letters", "numbers", "spaces"):
        text += table(name.capitalize(), ranges(c for c in CODE_POINTS if kind_of[c] == name))
    text += "// clang-format on\n\n}  // namespace skipattn::tokenizer::unicode\n"

    if arguments.check:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET.name} is out of date: run scripts/make_unicode_tables.py")
    else:
        TARGET.write_text(text)
        print(f"{TARGET}: Unicode {version}, {len(text.splitlines())} lines")


if __name__ == "__main__":
    main()
