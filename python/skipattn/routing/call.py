"""The text form of a named routing, `name` or `name(key=value, key=value)`, and typed reading of its arguments."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .words import did_you_mean, split_outside_brackets, trim


@dataclass
class Call:
    """A name and its arguments, all still text, in the order written."""

    name: str = ""
    arguments: list[tuple[str, str]] = field(default_factory=list)


def parse_call(text: str, faults: list[str]) -> Call:
    """Cuts the text up; arguments without a name and unbalanced brackets go to `faults`."""
    text = trim(text)
    name, bracket, _ = text.partition("(")
    call = Call(trim(name))
    if not bracket:
        return call
    if not text.endswith(")"):
        faults.append("a closing ')' is missing at the end")
        return call
    inside = text[len(name) + 1:-1]
    if not trim(inside):
        return call
    for item in split_outside_brackets(inside, ","):
        key, equals, value = item.partition("=")
        if equals:
            call.arguments.append((trim(key), trim(value)))
        else:
            faults.append(f"'{trim(item)}' has no name, write name=value")
    return call


class Amount(NamedTuple):
    """A whole number, or a share of one: "9", "3/4" or "0.75" (exactly 75/100)."""

    numerator: int
    denominator: int
    is_share: bool

    def of(self, whole: int) -> int:
        """The whole number meant; a share of `whole` is rounded down."""
        return self.numerator * whole // self.denominator if self.is_share else self.numerator


def parse_whole(text: str) -> int | None:
    """None when the text is not a whole number of at most nine digits."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def _digits(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _share(numerator: int | None, denominator: int | None) -> Amount | None:
    if numerator is None or denominator is None or not 1 <= numerator <= denominator:
        return None
    return Amount(numerator, denominator, True)


def parse_amount(text: str) -> Amount | None:
    """None when the text is neither a whole number nor a fraction above 0 and at most 1 (nine digits at most)."""
    if "/" in text:
        numerator, _, denominator = text.partition("/")
        return _share(_digits(trim(numerator)), _digits(trim(denominator)))
    if "." in text:
        # Exact decimal arithmetic: 0.29 of 100 is 29, which it is not in binary floating point.
        before, _, decimals = text.partition(".")
        units, rest = _digits(before) if before else 0, _digits(decimals)
        if units is None or rest is None or len(decimals) > 8:
            return None
        return _share(units * 10**len(decimals) + rest, 10**len(decimals))
    whole = parse_whole(text)
    return None if whole is None else Amount(whole, 1, False)


class Limits(NamedTuple):
    """What a count may be."""

    lowest: int
    highest: int
    whole: int  #: what a fraction is a share of
    model: str  #: "a model of 12 layers"


class ArgumentReader:
    """Reads a call's arguments by name. Unknown and repeated ones go to `faults` at once."""

    def __init__(self, call: Call, known: Sequence[str], faults: list[str]) -> None:
        self._given: dict[str, str] = {}
        self.faults = faults
        for name, value in call.arguments:
            if name not in known:
                faults.append(f"unknown argument '{name}'{did_you_mean(name, known)}, known are {', '.join(known)}")
            elif name in self._given:
                faults.append(f"{name} is given twice")
            self._given.setdefault(name, value)

    def has(self, name: str) -> bool:
        return name in self._given

    def text(self, name: str, otherwise: str) -> str:
        """The text of the argument, `otherwise` when it is not given."""
        return self._given.get(name, otherwise)

    def amount(self, name: str, otherwise: str, limits: Limits) -> int:
        """A whole number or share within the limits; the lowest after a fault."""
        given = self.text(name, otherwise)
        amount = parse_amount(given)
        if amount is None:
            self.faults.append(f"{name}={given} must be a whole number or a fraction of at most 1 such as 3/4")
            return limits.lowest
        value = amount.of(limits.whole)
        if limits.lowest <= value <= limits.highest:
            return value
        meant = f"{name}={given} is {value}: " if amount.is_share else ""
        if limits.lowest > limits.highest:
            self.faults.append(f"there is no {name} that fits {limits.model}")
        elif limits.lowest == limits.highest:
            self.faults.append(f"{meant}{name} must be {limits.lowest} for {limits.model}")
        else:
            self.faults.append(f"{meant}{name} must be {limits.lowest}..{limits.highest} for {limits.model}")
        return limits.lowest

    def count(self, name: str) -> int:
        """A whole number of at least 0; 0 after a fault and when not given."""
        given = self.text(name, "0")
        value = parse_whole(given)
        if value is not None and value >= 0:
            return value
        self.faults.append(f"{name}={given} must be a whole number of tokens, 0 for all")
        return 0

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of a few words; the first after a fault and when not given."""
        given = self.text(name, choices[0])
        if given in choices:
            return given
        self.faults.append(f"{name}={given} must be {' or '.join(choices)}{did_you_mean(given, choices)}")
        return choices[0]
