"""Words for people: the name somebody probably meant, lists, and numbers as the program prints them."""
from __future__ import annotations

from collections.abc import Sequence

BLANK = " \t\r\n\v\f"


def trim(text: str) -> str:
    return text.strip(BLANK)


def _edit_distance(a: bytes, b: bytes) -> int:
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            substitute = diagonal + (left != right)
            diagonal = row[j]
            row[j] = min(substitute, row[j] + 1, row[j - 1] + 1)
    return row[-1]


def did_you_mean(name: str, candidates: Sequence[str]) -> str:
    """" (did you mean 'x'?)", or "" when no candidate is near enough to be a slip of the hand. Counted in bytes."""
    written = name.encode("utf-8", "surrogateescape")
    best, best_distance = "", max(2, len(written) // 3) + 1
    for candidate in candidates:
        distance = _edit_distance(written, candidate.encode())
        if distance < best_distance:
            best, best_distance = candidate, distance
    return f" (did you mean '{best}'?)" if best else ""


def split_outside_brackets(text: str, separator: str) -> list[str]:
    """Cuts at `separator` where no (, [, { or quote is open."""
    items, depth, quote = [""], 0, ""
    for c in text:
        if quote:
            if c == quote:
                quote = ""
        elif c in "\"'":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == separator and depth == 0:
            items.append("")
            continue
        items[-1] += c
    return items


def counted(count: int, noun: str) -> str:
    return f"a model of {count} {noun}" + ("" if count == 1 else "s")


def format_indices(indices: Sequence[int]) -> str:
    """Ascending indices in short form: [0, 1, 2, 5] -> "0-2, 5"."""
    parts, first = [], 0
    while first < len(indices):
        after = first + 1
        while after < len(indices) and indices[after] == indices[after - 1] + 1:
            after += 1
        parts.append(str(indices[first]) + (f"-{indices[after - 1]}" if after - first > 1 else ""))
        first = after
    return ", ".join(parts)
