#!/usr/bin/env python3
"""A Hugging Face dataset, streamed, to JSONL that `skipattn tokenize` reads; nothing else is kept on the disk.

    python3 python/data/stream_to_jsonl.py HuggingFaceFW/fineweb --config sample-10BT --out jsonl/ --max-documents 1000000
    python3 python/data/stream_to_jsonl.py json --data-files 'https://…/*.jsonl.gz' --out jsonl/
    skipattn tokenize jsonl/ --tokenizer gpt2/ --out data/train.bin --val 0.01

Needs the package datasets. Files of --shard-documents documents are written one after another. After each, the place in
the stream is noted in OUT/.position.json, so that a killed run goes on from the last finished file: exactly there when
the stream can be set to a place (datasets 2.20 and later), else by reading over what was done. `--out -` writes one
stream to standard output instead, for `| skipattn tokenize -`; that cannot go on later.
"""
import argparse
import json
import os
import pathlib
import sys

from jsonl_shards import Fault, ShardWriter, check_disk, line_of, run

try:
    import datasets
except ImportError:
    print("stream_to_jsonl: the package datasets is not installed: pip install datasets", file=sys.stderr)
    sys.exit(2)

POSITION = ".position.json"  # hidden, so that tokenize passes it over


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="a dataset's name, or json, parquet, text with --data-files")
    parser.add_argument("--config", help="the dataset's configuration")
    parser.add_argument("--split", default="train", help="default: %(default)s")
    parser.add_argument("--data-files", nargs="+", help="paths or addresses of the files to read")
    parser.add_argument("--revision", help="a commit of the dataset, so that a later run reads the same")
    parser.add_argument("--text-key", default="text", help="the column that holds the text (default: %(default)s)")
    parser.add_argument("--out", required=True, help="folder for the JSONL files, or - for standard output")
    parser.add_argument("--shard-documents", type=int, default=100_000, help="documents of a file (default: %(default)s)")
    parser.add_argument("--max-documents", type=int, help="stop after this many")
    options = parser.parse_args()
    for name in ("shard_documents", "max_documents"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise Fault(f"--{name.replace('_', '-')} {value}: must be 1 or more")
    return options


def open_stream(options):
    try:
        stream = datasets.load_dataset(options.dataset, options.config, split=options.split, streaming=True,
                                       data_files=options.data_files, revision=options.revision)
    except Exception as error:  # whatever the network, the hub or a loading script comes up with
        raise Fault(f"{options.dataset}: cannot be opened ({str(error).splitlines()[0]})") from None
    if stream.column_names is not None and options.text_key not in stream.column_names:
        raise Fault(f"{options.dataset}: has no column '{options.text_key}', it has {', '.join(stream.column_names)}; "
                    "name one with --text-key")
    return stream


def say_disk(options, stream):
    """From what the dataset says about itself; a part of it takes that part."""
    splits = stream.info.splits or {}
    split = splits.get(options.split)
    if split is None or not split.num_bytes:
        print("how much disk is needed is not known: the dataset does not say its size", file=sys.stderr)
        return
    share = min(1, options.max_documents / split.num_examples) if options.max_documents and split.num_examples else 1
    check_disk(options.out, split.num_bytes * share)


def what_is_read(options):
    return {"dataset": options.dataset, "config": options.config, "split": options.split, "revision": options.revision,
            "data_files": options.data_files, "text_key": options.text_key, "shard_documents": options.shard_documents}


def read_position(folder, options):
    """The noted position, or the beginning; a folder that was made from something else is refused."""
    path = folder / POSITION
    if not path.exists():
        return {"reading": what_is_read(options), "shards": 0, "rows": 0, "documents": 0, "state": None}
    position = json.loads(path.read_text())
    for key, value in what_is_read(options).items():
        if position["reading"][key] != value:
            raise Fault(f"{folder}: was begun with {key} {position['reading'][key]}, not {value}; name another --out")
    return position


def write_position(folder, position):
    temporary = folder / (POSITION + ".part")
    with open(temporary, "w") as file:
        json.dump(position, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / POSITION)


def go_to(stream, position):
    if position["rows"] == 0:
        return stream
    if position["state"] is not None:
        stream.load_state_dict(position["state"])
        print(f"going on after {position['documents']} documents", file=sys.stderr)
        return stream
    print(f"going on after {position['documents']} documents: reading over them", file=sys.stderr)
    return stream.skip(position["rows"])


def write_shards(options, stream, folder):
    position = read_position(folder, options)
    limit = options.max_documents or sys.maxsize
    stream = go_to(stream, position)
    rows = iter(stream)
    ended = False
    while not ended and position["documents"] < limit:
        size = min(options.shard_documents, limit - position["documents"])
        with ShardWriter(folder / f"documents-{position['shards']:05}.jsonl") as shard:
            while shard.documents < size and not ended:
                row = next(rows, None)
                ended = row is None
                if not ended:
                    position["rows"] += 1
                    if row[options.text_key]:
                        shard.write(row[options.text_key])
            if shard.documents > 0:
                shard.commit()
        position["documents"] += shard.documents
        position["shards"] += shard.documents > 0
        position["state"] = stream.state_dict() if hasattr(stream, "state_dict") else None
        write_position(folder, position)
        print(f"{position['documents']} documents in {position['shards']} files", file=sys.stderr)


def write_standard_output(options, stream):
    left = options.max_documents or sys.maxsize
    for row in stream:
        if row[options.text_key]:
            sys.stdout.buffer.write(line_of(row[options.text_key]).encode("utf-8", "replace"))
            left -= 1
        if left == 0:
            break
    sys.stdout.flush()


def main():
    options = arguments()
    stream = open_stream(options)
    if options.out == "-":
        write_standard_output(options, stream)
        return
    folder = pathlib.Path(options.out)
    say_disk(options, stream)
    folder.mkdir(parents=True, exist_ok=True)
    write_shards(options, stream, folder)


if __name__ == "__main__":
    run("stream_to_jsonl", main)
