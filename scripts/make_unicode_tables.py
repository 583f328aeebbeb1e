#!/usr/bin/env python3
r"""Writes src/skipattn/tokenizer/unicode/{categories,sets,normalization}.cpp: what the tokenizer knows of Unicode.

The tables must be those of the Unicode versions that the packages `tokenizers` and `tiktoken` were built with, not of
the newest one, so they are taken from these packages: a text of all code points is put through their patterns and
normalizers. Stops when the two packages disagree (on \w they do, and `tokenizers` holds). Which marks are reordered, and by which class, and how letters with
marks are made up, is proposed by Python's unicodedata; what `tokenizers` does not do as well is left out.

    .venv/bin/python scripts/make_unicode_tables.py            # writes the files
    .venv/bin/python scripts/make_unicode_tables.py --check    # exit code 1 when a file is out of date
"""

import argparse
import pathlib
import sys
import unicodedata

import tiktoken
import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src/skipattn/tokenizer/unicode"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODE_POINTS))
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()
# A letter that each Unicode version was the first to have, so that the file can say which version it holds.
FIRST_OF_VERSION = {14: 0x0870, 15: 0x1DF25, 15.1: 0x2EBF0, 16: 0x1C89, 17: 0xA7CE}
HEADER = "// Made by scripts/make_unicode_tables.py, not by hand.\n"
BEGIN = "\nnamespace skipattn::tokenizer::unicode {\n\n// clang-format off\n"
END = "// clang-format on\n\n}  // namespace skipattn::tokenizer::unicode\n"


def matched_by_tokenizers(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return "".join(piece for piece, _ in split.pre_tokenize_str(ALL))


def matched_by_tiktoken(pattern):
    encoding = tiktoken.Encoding("", pat_str=pattern, mergeable_ranks={bytes([i]): i for i in range(256)},
                                 special_tokens={})
    return encoding.decode(encoding.encode_ordinary(ALL))


def matched(pattern):
    """The code points a class of both packages' patterns stands for."""
    ours, theirs = matched_by_tokenizers(pattern), matched_by_tiktoken(pattern)
    if ours != theirs:
        different = sorted(set(ours) ^ set(theirs))
        sys.exit(f"tokenizers and tiktoken disagree on {pattern} for {len(different)} code points, the first is "
                 f"U+{ord(different[0]):04X}")
    return set(map(ord, ours))


def split_by_digits():
    """What the pre-tokenizer Digits takes for digits: a newer Unicode's numbers than the patterns'."""
    split = pre_tokenizers.Digits(individual_digits=True)
    return {c for c in CODE_POINTS if len(split.pre_tokenize_str("a" + chr(c))) == 2}


def check_gpt2_pattern(kinds):
    """The pre-tokenizer ByteLevel has a pattern of its own; its classes must be the same."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    for c in CODE_POINTS:
        joined = next((name for neighbour, name in (("a", "L"), ("1", "N"), ("!", "")) if
                       len(split(neighbour + chr(c))) == 1), "space")
        if joined != kinds.get(c, ""):
            sys.exit(f"ByteLevel takes U+{c:04X} for {joined!r}, the patterns for {kinds.get(c, '')!r}")


def ranges(code_points):
    result = []
    for c in sorted(code_points):
        if result and result[-1][1] + 1 == c:
            result[-1][1] = c
        else:
            result.append([c, c])
    return result


def table(kind, name, items):
    lines, line = [], ""  # decimal and without spaces, or the files would be twice as long
    for item in items:
        item = "{" + ",".join(map(str, item)) + "},"
        if len(line) + len(item) > 119:
            lines.append(line)
            line = ""
        line += item
    lines.append(line)
    return (f"const {kind} k{name}[] = {{\n" + "\n".join(lines) + "\n};\n"
            f"const std::size_t k{name}Count = sizeof(k{name}) / sizeof(k{name}[0]);\n")


def include_of(comment):
    return f'{HEADER}// {comment}\n#include "skipattn/tokenizer/unicode/tables.h"\n{BEGIN}'


def categories_text():
    category_of = {c: "Cs" for c in range(0xD800, 0xE000)}
    for category in CATEGORIES:
        for c in matched(rf"\p{{{category}}}"):
            if category_of.setdefault(c, category) != category:
                sys.exit(f"U+{c:04X} is both {category_of[c]} and {category}")
    if len(category_of) != 0x110000:
        sys.exit("some code point has no category")
    spaces = matched(r"\s")
    check_gpt2_pattern({c: k for c, category in category_of.items() if (k := category[0]) in "LN"}
                       | {c: "space" for c in spaces})
    runs, last = [], None
    for c in range(0x110000):
        if category_of[c] != last:
            last = category_of[c]
            runs.append((c, f"k{last}"))
    version = max(v for v, c in FIRST_OF_VERSION.items() if category_of[c][0] == "L")
    text = include_of(f"Unicode {version}, as tokenizers {tokenizers.__version__} and tiktoken {tiktoken.__version__} "
                      "have it.")
    return text + table("CategoryRun", "CategoryRuns", runs) + END


def check_word_characters():
    """set_reader.cpp knows the six that \\w has outside of brackets only."""
    different = set(matched_by_tokenizers(r"\w")) ^ set(matched_by_tokenizers(r"[\w]"))
    if different != set("\u00b2\u00b3\u00b9\u00bc\u00bd\u00be"):
        sys.exit(f"\\w and [\\w] differ in {sorted(different)}")


def sets_text():
    check_word_characters()
    text = include_of(f"As tokenizers {tokenizers.__version__} has it.")
    text += table("CodePointRange", "Spaces", ranges(matched(r"\s")))
    text += table("CodePointRange", "WordCharacters", ranges(map(ord, matched_by_tokenizers(r"\w"))))
    text += table("CodePointRange", "Digits", ranges(split_by_digits()))
    for script in ("Han", "Hiragana", "Katakana", "Hangul"):
        text += table("CodePointRange", script, ranges(matched(rf"\p{{{script}}}")))
    return text + END


def combining_classes():
    """Those that tokenizers knows: it puts such a mark before U+0345, which has the highest class there is."""
    order = normalizers.NFD().normalize_str
    known = {}
    for c in CODE_POINTS:
        number = unicodedata.combining(chr(c))
        if number and (number == 240 or order("\u0345" + chr(c))[-1] == "\u0345"):
            known[c] = number
    return known


def decompositions():
    """Pairs that make one code point, and what is only taken apart; second 0: one code point for another."""
    compose, decompose = normalizers.NFC().normalize_str, normalizers.NFD().normalize_str
    both, apart = [], []
    for c in CODE_POINTS:
        parts = unicodedata.decomposition(chr(c))
        if not parts or parts.startswith("<") or decompose(chr(c)) == chr(c):
            continue
        first, second = (int(part, 16) for part in (parts.split() + ["0"])[:2])
        (both if compose(chr(c)) == chr(c) else apart).append((c, first, second))
    return both, apart


def normalization_text():
    compose = normalizers.NFC().normalize_str
    different = [c for c in CODE_POINTS if compose(chr(c)) != unicodedata.normalize("NFC", chr(c))]
    if different:
        sys.exit(f"Python and tokenizers normalize U+{different[0]:04X} in different ways")
    classes = combining_classes()
    runs = []
    for c, number in sorted(classes.items()):
        if runs and runs[-1][1] + 1 == c and runs[-1][2] == number:
            runs[-1][1] = c
        else:
            runs.append([c, c, number])
    both, apart = decompositions()
    text = include_of(f"As the normalizers of tokenizers {tokenizers.__version__} have it.")
    text += table("CombiningRun", "CombiningRuns", runs)
    text += table("Decomposition", "Composed", both)
    return text + table("Decomposition", "OnlyDecomposed", apart) + END


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()

    for path, content in ((FOLDER / "categories.cpp", categories_text()),
                          (FOLDER / "sets.cpp", sets_text()),
                          (FOLDER / "normalization.cpp", normalization_text())):
        if not arguments.check:
            path.write_text(content)
            print(f"{path.name}: {len(content.splitlines())} lines")
        elif path.read_text() != content:
            sys.exit(f"{path.name} is out of date: run scripts/make_unicode_tables.py")


if __name__ == "__main__":
    main()
