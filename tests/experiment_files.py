"""experiments/: every file is a sweep that can be planned, full-size settings say where they come from, and the small ones'
data is what their README says."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import harness
from harness import BINARY, run_json

harness.require("numpy")
ROOT = pathlib.Path(os.environ.get("SKIPATTN_SOURCE_DIR", ".")).resolve()
RUNS = {"full/comparison": 72, "full/contexts": 27, "full/sizes": 18, "full/document_mask": 18,
        "small/comparison": 50, "small/contexts": 36, "small/sizes": 24, "small/document_mask": 24, "small/grid": 40,
        "small/largest_again": 12, "card/books": 24, "card/pages": 48}


def test_every_file_is_a_sweep_of_the_runs_it_should_have(folder):
    harness.write_tokens(folder / "train.bin", 40000, 300)
    harness.write_tokens(folder / "val.bin", 40000, 300, seed=1)
    files = {f"{file.parent.name}/{file.stem}" for file in ROOT.glob("experiments/*/*.toml")}
    assert files == set(RUNS), files
    for name, count in RUNS.items():
        plan = run_json("sweep", "--config", ROOT / "experiments" / f"{name}.toml", "--out", folder / "out", "--dry-run",
                        "--tokens-per-second", "100000", "--difference-sd", "0.01", "--set", f"data.train={folder}/train.bin",
                        "--set", f"data.val={folder}/val.bin", "--set", "data.end_of_text=0", "--set",
                        "model.vocabulary=50304")
        assert len(plan["runs"]) == count, (name, len(plan["runs"]))
        # What was asked for in tokens, rounded down to whole steps: the same for every run, so contexts and sizes compare.
        tokens = {run["tokens"] for run in plan["runs"]}
        assert max(tokens) - min(tokens) <= 0.01 * max(tokens), (name, tokens)
        assert [row["seeds"] for row in plan["detectable"]][:2] == [3, 4]
        assert plan["detectable"][0]["difference"] > (0.03 if name == "small/largest_again" else 0.05)


def test_every_setting_at_full_size_says_where_it_comes_from(folder):
    for file in ROOT.glob("experiments/full/*.toml"):
        for line in file.read_text().split("[sweep]\nmodel")[0].splitlines():
            if re.match(r"[a-z_0-9]+ = ", line):
                assert re.search(r"# (paper|nanoGPT|our guess|\[sweep\] says it)", line), (file.name, line)


def books(count):
    return ["\n\n".join(f"Book {book}, paragraph {i}. " + "word " * (20 + 7 * (i % 5)) for i in range(61))  # the last one is short: a page of its own
            for book in range(count)]


def test_the_small_data_is_books_and_the_same_cut_into_pages(folder):
    texts = {"train": books(6), "val": books(8)[6:]}
    for part, list_of in texts.items():
        (folder / f"{part}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in list_of))
    prepare = ["bash", str(ROOT / "experiments" / "small" / "prepare.sh"), str(folder), str(folder / "out")]
    environment = {**os.environ, "SKIPATTN_BINARY": str(pathlib.Path(BINARY).resolve()), "TORCH_PYTHON": sys.executable}
    for _ in range(2):  # the second call finds everything there
        done = subprocess.run(prepare, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    read = lambda place: json.loads((folder / "out" / place / "val.bin.json").read_text())
    assert read("books")["documents"] == 2 and read("pages")["documents"] > 10
    assert read("books")["vocab_hash"] == read("pages")["vocab_hash"]

    cut = subprocess.run([sys.executable, ROOT / "experiments" / "small" / "cut_pages.py", folder / "val.jsonl"],
                         capture_output=True, text=True, timeout=60)
    pages = [json.loads(line)["text"] for line in cut.stdout.splitlines()]
    whole = [paragraph for text in texts["val"] for paragraph in text.split("\n\n")]
    assert sorted(paragraph for page in pages for paragraph in page.split("\n\n")) == sorted(whole)
    assert all(len(page) < 450 + 300 for page in pages)
    order = [int(re.match(r"Book (\d)", page)[1]) for page in pages]
    assert order != sorted(order)  # neighbours come from anywhere

    (folder / "empty").mkdir()
    missing = subprocess.run([*prepare[:2], str(folder / "empty")], env=environment, capture_output=True, text=True)
    assert missing.returncode == 2 and "holds no train*.jsonl*" in missing.stderr, missing.stderr


STUB = """#!/usr/bin/env bash
echo "$*" >> "$STUB_LOG"
trap 'exit 3' TERM
if [[ -n ${STUB_SLEEP:-} ]]; then sleep "$STUB_SLEEP" & wait; fi
echo table
exit ${STUB_CODE:-0}
"""


def test_all_small_ones_run_in_turn_and_stop_in_time(folder):
    """With a stand-in for the program; results go where it is told, so the script runs in a copy of experiments/."""
    shutil.copytree(ROOT / "experiments", folder / "experiments")
    (folder / "stub").write_text(STUB)
    (folder / "stub").chmod(0o755)

    def run_all(*arguments, code=0, **environment):
        (folder / "log").write_text("")
        done = subprocess.run(["bash", str(folder / "experiments/small/run_all.sh"), *arguments], capture_output=True,
                              text=True, timeout=60, env={**os.environ, "SKIPATTN_BINARY": str(folder / "stub"),
                                                          "STUB_LOG": str(folder / "log"), **environment})
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return (folder / "log").read_text().splitlines(), done

    calls, done = run_all()
    names = [re.search(r"small/(\w+)\.toml", call)[1] for call in calls]
    assert sorted(f"small/{name}" for name in names) == sorted(name for name in RUNS if name.startswith("small"))
    assert calls[0] == f"sweep --config experiments/small/{names[0]}.toml --out results/small/{names[0]}", calls[0]
    assert done.stdout.count("table") == len(calls) and (folder / "results" / "small" / "grid.txt").read_text() == "table\n"

    calls, _ = run_all("--pilot", "--threads", "1", "grid")
    assert calls == ["sweep --config experiments/small/grid.toml --out results/pilot/grid --threads 1 "
                     "--set training.tokens=350000"], calls
    calls, done = run_all(code=3, STUB_CODE="3")
    assert len(calls) == 1 and "call it again to go on" in done.stderr
    calls, _ = run_all(code=1, STUB_CODE="1")
    assert len(calls) == 1
    calls, done = run_all("--seconds", "1", code=3, STUB_SLEEP="30")
    assert len(calls) == 1 and "call it again to go on" in done.stderr
    calls, done = run_all("nothing", code=2)
    assert not calls and "there is no experiments/small/nothing.toml" in done.stderr


if __name__ == "__main__":
    harness.main(globals())
