"""python/data/: Parquet files and Hugging Face streams to JSONL, killed and taken up again, and on into token files."""
import gzip
import json
import os
import pathlib
import subprocess
import sys

import harness
from harness import run_json

harness.require("pyarrow")
import pyarrow
import pyarrow.parquet

HELPERS = pathlib.Path(os.environ.get("SKIPATTN_SOURCE_DIR", ".")) / "python" / "data"
TEXTS = ["plain words", "two\nlines \u2028 and \"quotes\"", "", "日本語 🙂", "tab\t\\ backslash", "word " * 3000]


def helper(name, *arguments, code=0, says=()):
    done = subprocess.run([sys.executable, HELPERS / name, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == code, f"exit code {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
    for fragment in [says] if isinstance(says, str) else says:
        assert fragment in done.stderr, f"expected {fragment!r} in: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write_parquet(path, texts, column="text", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"id": list(range(len(texts))), column: texts}), path, **options)


def texts_of(path):
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line)["text"] for line in data.split(b"\n")[:-1]]


def test_parquet_becomes_one_file_each_and_tokenizes(folder):
    write_parquet(folder / "in" / "a" / "0.parquet", TEXTS, row_group_size=2)
    write_parquet(folder / "in" / "b.parquet", [f"document {i}" for i in range(2000)])
    dry = helper("parquet_to_jsonl.py", folder / "in", "--out", folder / "out", "--dry-run", says=["2006 rows", "are free"])
    assert not (folder / "out").exists() and "KiB will be written" in dry.stderr, dry.stderr
    helper("parquet_to_jsonl.py", folder / "in", "--out", folder / "out", says="2/2")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a-0.jsonl", "b.jsonl"]
    assert texts_of(folder / "out" / "a-0.jsonl") == [text for text in TEXTS if text]
    helper("parquet_to_jsonl.py", folder / "in" / "b.parquet", "--out", folder / "packed", "--gzip")
    assert texts_of(folder / "packed" / "b.jsonl.gz") == texts_of(folder / "out" / "b.jsonl")
    result = run_json("tokenize", folder / "out", "--train-bpe", 300, "--out", folder / "data" / "train.bin")
    assert result["documents"] == 2005 and result["bytes"] == sum(
        len(text.encode()) for file in ("a-0.jsonl", "b.jsonl") for text in texts_of(folder / "out" / file)), result


def test_parquet_goes_on_after_a_kill_and_follows_changes(folder):
    for name in "abc":
        write_parquet(folder / "in" / f"{name}.parquet", [f"{name} {i}" for i in range(10)])
    convert = ("parquet_to_jsonl.py", folder / "in", "--out", folder / "out")
    helper(*convert)
    finished = (folder / "out" / "a.jsonl").stat().st_mtime_ns
    (folder / "out" / "b.jsonl").unlink()  # as if killed before b was finished, half of it under its temporary name
    (folder / "out" / ".b.jsonl.part").write_bytes(b'{"text": "b 0"}\n{"te')
    write_parquet(folder / "in" / "c.parquet", ["changed"])
    os.utime(folder / "in" / "c.parquet", (2**33, 2**33))
    helper(*convert, says="2 files with 11 rows to read, 1 finished before")
    assert (folder / "out" / "a.jsonl").stat().st_mtime_ns == finished
    assert texts_of(folder / "out" / "b.jsonl") == [f"b {i}" for i in range(10)]
    assert texts_of(folder / "out" / "c.jsonl") == ["changed"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.jsonl", "b.jsonl", "c.jsonl"]


def test_parquet_mistakes(folder):
    out = ("--out", folder / "out")
    good = folder / "good.parquet"
    write_parquet(good, TEXTS)
    (folder / "empty").mkdir()
    (folder / "cut.parquet").write_bytes(good.read_bytes()[:-20])
    damaged = bytearray(good.read_bytes())
    damaged[4:200] = b"\0" * 196
    (folder / "damaged.parquet").write_bytes(damaged)
    (folder / "twin").mkdir()
    (folder / "twin" / "good.parquet").write_bytes(good.read_bytes())
    for inputs, says in [(["nowhere"], "no such file or folder"), ([folder / "empty"], "holds no *.parquet file"),
                         ([folder / "cut.parquet"], "cannot be read as Parquet"), ([good, "--text-key", "body"], "no column 'body', it has id, text"),
                         ([good, "--text-key", "id"], "holds int64, not text"),
                         ([good, folder / "twin" / "good.parquet"], "would both become good.jsonl"),
                         ([folder / "damaged.parquet"], "is damaged")]:
        helper("parquet_to_jsonl.py", *inputs, *out, code=2, says=says)
        assert not (folder / "out").exists() or list((folder / "out").iterdir()) == [], says


def stream(folder, *arguments, **options):
    return helper("stream_to_jsonl.py", "parquet", "--data-files", folder / "0.parquet", folder / "1.parquet",
                  "--out", folder / "out", "--shard-documents", 30, *arguments, **options)


def test_a_stream_goes_on_where_it_was(folder):
    harness.require("datasets")
    expected = [f"text {i}" for i in range(100)]
    write_parquet(folder / "0.parquet", expected[:50] + [""], row_group_size=20)
    write_parquet(folder / "1.parquet", expected[50:], row_group_size=20)
    stream(folder, "--max-documents", 60, says="disk is needed")
    assert sorted(path.name for path in (folder / "out").iterdir()) == [".position.json", "documents-00000.jsonl", "documents-00001.jsonl"]
    (folder / "out" / ".documents-00002.jsonl.part").write_bytes(b"killed here")
    stream(folder, says="going on after 60 documents")
    found = sorted((folder / "out").glob("*.jsonl"))
    assert [len(texts_of(path)) for path in found] == [30, 30, 30, 10], found
    assert sum((texts_of(path) for path in found), []) == expected
    stream(folder, says="100 documents in 4 files")  # finished: nothing is added
    assert sorted((folder / "out").glob("*.jsonl")) == found
    stream(folder, "--text-key", "id", code=2, says="was begun with text_key text, not id")
    stream(folder, "--text-key", "body", code=2, says="no column 'body', it has id, text")
    stream(folder, "--max-documents", 0, code=2, says="must be 1 or more")
    whole = helper("stream_to_jsonl.py", "parquet", "--data-files", folder / "0.parquet", "--out", "-").stdout
    assert [json.loads(line)["text"] for line in whole.splitlines()] == expected[:50]
    helper("stream_to_jsonl.py", "no-such/dataset", "--out", folder / "x", code=2, says="cannot be opened")
    assert not (folder / "x").exists()


if __name__ == "__main__":
    harness.main(globals())
