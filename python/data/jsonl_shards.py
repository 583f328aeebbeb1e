"""What both readers of this folder share: JSONL files that are whole or absent, disk sizes in words, errors in one line.

A document becomes one line {"text": …}, which `skipattn tokenize` takes as one document.
"""
import gzip
import json
import os
import pathlib
import shutil
import sys


class Fault(Exception):
    """Something a person can put right, in one sentence."""


def run(program, main):
    """Runs main(); a Fault becomes one line and exit code 2, Ctrl-C one line and exit code 3."""
    try:
        main()
    except Fault as fault:
        print(f"{program}: {fault}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{program}: stopped; finished files stay, the same command goes on from them", file=sys.stderr)
        sys.exit(3)
    except OSError as error:
        print(f"{program}: {error}", file=sys.stderr)
        sys.exit(1)


def size_text(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def check_disk(folder, needed):
    """Says how much is needed and free, and refuses to begin what cannot end well."""
    place = pathlib.Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    print(f"about {size_text(needed)} will be written to {folder}, {size_text(free)} are free", file=sys.stderr)
    if needed > free:
        raise Fault(f"{folder}: needs about {size_text(needed)}, only {size_text(free)} are free; name another --out")


def line_of(text):
    return json.dumps({"text": text}, ensure_ascii=False) + "\n"


class ShardWriter:
    """One JSONL file under a temporary name; commit() syncs it and gives it its own."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.part")
        self.file = self.raw = open(self.temporary, "wb")
        if self.path.suffix == ".gz":
            self.file = gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=self.raw, mtime=0)
        self.documents = 0

    def __enter__(self):
        return self

    def write(self, text):
        # Half of a surrogate pair cannot be written in UTF-8; it becomes a question mark.
        self.file.write(line_of(text).encode("utf-8", "replace"))
        self.documents += 1

    def commit(self):
        if self.file is not self.raw:
            self.file.close()
        self.raw.flush()
        os.fsync(self.raw.fileno())
        self.raw.close()
        os.replace(self.temporary, self.path)

    def __exit__(self, *_):
        self.raw.close()
        self.temporary.unlink(missing_ok=True)
