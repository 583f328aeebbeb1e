#!/usr/bin/env python3
"""Cuts books into pages of some hundred characters, at paragraphs, and prints them shuffled as JSONL with the key "text".

    cut_pages.py train-*.jsonl.xz > pages.jsonl

Neighbouring pages have nothing to do with each other, as web pages in a corpus: what a document mask is about. The order is
that of a hash of the text, so it does not depend on the machine. A page is a run of whole paragraphs; longer paragraphs are a
page of their own. Input: JSON lines with "text", plain or .xz or .gz.
"""
import gzip
import hashlib
import json
import lzma
import sys

WANTED = 450  # characters at least; English books come to pages of 850 on average, 237 tokens of a vocabulary of 4096


def open_text(path):
    opener = lzma.open if path.endswith(".xz") else gzip.open if path.endswith(".gz") else open
    return opener(path, "rt", encoding="utf-8", newline="\n")


def pages_of(text):
    page = ""
    for paragraph in text.split("\n\n"):
        page += ("\n\n" if page else "") + paragraph
        if len(page) >= WANTED:
            yield page
            page = ""
    if page.strip():
        yield page


def main(paths):
    pages = []
    for path in paths:
        with open_text(path) as lines:
            for line in lines:
                pages.extend(pages_of(json.loads(line)["text"]))
    pages.sort(key=lambda page: hashlib.blake2b(page.encode(), digest_size=16).digest())
    for page in pages:
        sys.stdout.write(json.dumps({"text": page}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("cut_pages: give files of JSON lines with books under \"text\"")
    main(sys.argv[1:])
