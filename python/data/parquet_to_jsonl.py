#!/usr/bin/env python3
"""Parquet files to JSONL that `skipattn tokenize` reads, one output file for each input file.

    python3 python/data/parquet_to_jsonl.py openwebtext/ --out jsonl/
    skipattn tokenize jsonl/ --tokenizer gpt2/ --out data/train.bin --val 0.0005

Needs the package pyarrow. Rows stream through in batches, so memory does not grow with the files. The disk needed is
said first, from the files' own statistics. A killed run goes on with the first file that is not finished; a file that
has changed since is done again.
"""
import argparse
import pathlib
import sys

from jsonl_shards import Fault, ShardWriter, check_disk, run

try:
    import pyarrow
    import pyarrow.parquet
except ImportError:
    print("parquet_to_jsonl: the package pyarrow is not installed: pip install pyarrow", file=sys.stderr)
    sys.exit(2)

ESCAPES = 1.04  # what JSON's escapes and the key add to ordinary text
BATCH_ROWS = 512


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", nargs="+", help="Parquet files, or folders of them (below, too)")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder for the JSONL files")
    parser.add_argument("--text-key", default="text", help="the column that holds the text (default: %(default)s)")
    parser.add_argument("--gzip", action="store_true", help="pack the files: less than half of the disk, slower")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be read and written")
    return parser.parse_args()


def find_inputs(names):
    """The files, in order, and a name for each that no other has."""
    files = []
    for name in names:
        path = pathlib.Path(name)
        if path.is_dir():
            found = sorted(path.rglob("*.parquet"))
            if not found:
                raise Fault(f"{path}: holds no *.parquet file")
            files += [(file, "-".join(file.relative_to(path).with_suffix("").parts)) for file in found]
        elif path.is_file():
            files.append((path, path.stem))
        else:
            raise Fault(f"{path}: no such file or folder")
    seen = {}
    for file, name in files:
        if name in seen:
            raise Fault(f"{file} and {seen[name]} would both become {name}.jsonl; convert them into two folders")
        seen[name] = file
    return files


def open_parquet(path, column):
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise Fault(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})") from None
    names = file.schema_arrow.names
    if column not in names:
        raise Fault(f"{path}: has no column '{column}', it has {', '.join(names)}; name one with --text-key")
    kind = file.schema_arrow.field(column).type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        raise Fault(f"{path}: column '{column}' holds {kind}, not text")
    return file


def text_bytes(file, column):
    """Bytes of the column's text as the file's statistics say; repeated texts count once."""
    total = 0
    for group in map(file.metadata.row_group, range(file.metadata.num_row_groups)):
        chunks = map(group.column, range(group.num_columns))
        total += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema == column)
    return total


def convert(path, target, column):
    file = open_parquet(path, column)
    with ShardWriter(target) as shard:
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[column]):
                for text in batch.column(0).to_pylist():
                    if text:  # tokenize passes empty documents over, too
                        shard.write(text)
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise Fault(f"{path}: is damaged ({str(error).splitlines()[0]}); fetch it again") from None
        shard.commit()
    return shard.documents


def main():
    options = arguments()
    suffix = ".jsonl.gz" if options.gzip else ".jsonl"
    todo, done, rows, needed = [], 0, 0, 0
    for path, name in find_inputs(options.input):
        target = options.out / (name + suffix)
        file = open_parquet(path, options.text_key)
        if target.exists() and target.stat().st_mtime >= path.stat().st_mtime:
            done += 1
            continue
        todo.append((path, target))
        rows += file.metadata.num_rows
        needed += text_bytes(file, options.text_key) * ESCAPES * (0.4 if options.gzip else 1)
    print(f"{len(todo)} files with {rows} rows to read, {done} finished before", file=sys.stderr)
    check_disk(options.out, needed)
    if options.dry_run:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    documents = 0
    for number, (path, target) in enumerate(todo, 1):
        documents += convert(path, target, options.text_key)
        print(f"{number}/{len(todo)} {target.name}, {documents} documents so far", file=sys.stderr)


if __name__ == "__main__":
    run("parquet_to_jsonl", main)
