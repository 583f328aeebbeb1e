"""sweep: the same table however it was run; bests, controls and the files for papers follow from the runs."""
import csv
import json
import shutil
import signal
import subprocess
import time

import harness
from harness import BINARY, fails, run, run_json

harness.require("numpy")

TIMED = ("tokens_per_second", "peak_memory_bytes")


def write_config(folder, sweep):
    harness.write_tokens(folder / "train.bin", 20000, 300)
    harness.write_tokens(folder / "val.bin", 3000, 300, seed=1)
    (folder / "sweep.toml").write_text(harness.toml(
        model={"layers": 4, "heads": 4, "width": 32, "vocabulary": 300},
        data={"train": "train.bin", "val": "val.bin", "context": 64, "end_of_text": 0},
        training={"steps": 6, "batch_size": 2, "learning_rate": 5e-3, "eval_every": 3, "eval_tokens": 640},
        run={"dtype": "fp32", "threads": 1}) + "[sweep]\n" + sweep)
    return folder / "sweep.toml"


def sweep(folder, out, *more, **options):
    return run_json("sweep", "--config", folder / "sweep.toml", "--out", folder / out, *more, **options)


def without_timing(result):
    return [{key: value for key, value in cell.items() if key not in TIMED} for cell in result["runs"]]


def losses(folder, name):
    place = folder / "runs" / name
    return {int(run.name[5:]): json.loads((run / "result.json").read_text())["val_loss"] for run in place.iterdir()}


def stop_after(folder, out, results, how):
    """Signals a sweep once so many of its runs are done; returns its exit code and how many were."""
    process = subprocess.Popen([BINARY, "sweep", "--config", folder / "sweep.toml", "--out", folder / out, "--quiet"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = lambda: len(list((folder / out).glob("runs/*/*/result.json")))
    while done() < results and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(how)
    return process.wait(60), done()


GRID = 'model.routing.distance = [1, 2]\ntraining.learning_rate = [5e-3, 1e-2]\nseeds = 3\n' \
       'best = "training.learning_rate"\ncontrols = ["parameters"]\n'


def test_killed_sharded_and_later_seeds_give_the_table_of_one_run(folder):
    write_config(folder, GRID)
    routing = ("--set", "model.routing=sla(heads=2)")
    straight = sweep(folder, "straight", *routing)
    names = [cell["name"] for cell in straight["runs"]]
    assert names[:3] == ["baseline, learning_rate=0.005", "baseline, learning_rate=0.01",
                         "sla(heads=2, distance=1), learning_rate=0.005"], names
    assert straight["comparisons"] == 4  # two distances, each against its baseline and its control
    assert len(list((folder / "straight").glob("runs/*/*/result.json"))) == 30
    table = (folder / "straight" / "table.tex").read_text()

    for shard in ("3/3", "1/3", "2/3"):
        sweep(folder, "sharded", *routing, "--shard", shard)
    assert without_timing(sweep(folder, "sharded", *routing, "--collect")) == without_timing(straight)
    assert (folder / "sharded" / "table.tex").read_text() == table

    (folder / "sweep.toml").write_text((folder / "sweep.toml").read_text().replace(
        'vocabulary = 300', 'vocabulary = 300\nrouting = "sla(heads=2)"'))
    code, done = stop_after(folder, "killed", 3, signal.SIGKILL)
    assert code == -signal.SIGKILL and done < 30, (code, done)
    code, done = stop_after(folder, "killed", 9, signal.SIGTERM)
    assert code == 3 and done < 30, (code, done)
    sweep(folder, "killed", "--seeds", "2")
    later = sweep(folder, "killed")
    assert without_timing(later) == without_timing(straight)
    assert (folder / "killed" / "table.tex").read_text() == table


def test_processes_without_shards_share_the_runs(folder):
    write_config(folder, 'model.routing = ["sla", "skipv1"]\nseeds = 4\n')
    straight = sweep(folder, "straight")
    command = [BINARY, "sweep", "--config", folder / "sweep.toml", "--out", folder / "shared", "--quiet"]
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    assert without_timing(sweep(folder, "shared", "--collect")) == without_timing(straight)
    for log in (folder / "shared").glob("runs/*/*/metrics.jsonl"):
        assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == list(range(1, 7)), log


def test_bests_and_comparisons_follow_from_the_runs(folder):
    write_config(folder, 'model.routing = ["sla", "skipv1"]\ntraining.learning_rate = [1e-4, 1e-2]\nseeds = 3\n'
                         'best = "training.learning_rate"\n')
    result = sweep(folder, "out")
    cells = {cell["name"]: cell for cell in result["runs"]}
    means = {name: sum(losses(folder / "out", name.replace(", ", "__")).values()) / 3 for name in cells}
    for routing in ("baseline", "sla", "skipv1"):
        group = [name for name in cells if cells[name]["overrides"]["model.routing"] == routing]
        best = min(group, key=means.get)
        assert [cells[name]["chosen"] for name in group] == [name == best for name in group]
        for name in group:
            assert (cells[name]["delta_vs_baseline"] is not None) == (name == best or routing == "baseline")
    compared = [cell for cell in cells.values() if cell["compared_with"]]
    assert len(compared) == 2
    for cell in compared:
        assert abs(cell["delta_vs_baseline"] - (means[cell["name"]] - means[cell["compared_with"]])) < 1e-12
    plain = sorted(cell["p_value_uncorrected"] for cell in compared)
    holm = [min(1, 2 * plain[0]), max(min(1, 2 * plain[0]), plain[1])]
    assert sorted(cell["p_value"] for cell in compared) == holm, (plain, holm)

    rows = list(csv.DictReader((folder / "out" / "results.csv").open()))
    assert len(rows) == 18
    assert all(float(row["val_loss"]) == losses(folder / "out", row["name"].replace(", ", "__"))[int(row["seed"])]
               for row in rows)
    for name in ("differences", "loss_by_training.learning_rate", "validation_loss", "difference_by_position"):
        for kind, start in (("svg", b"<?xml"), ("pdf", b"%PDF-1.4"), ("csv", None)):
            content = (folder / "out" / "figures" / f"{name}.{kind}").read_bytes()
            assert len(content) > 100 and (start is None or content.startswith(start)), (name, kind)
    assert result["reports"] == [str(folder / "out" / "report.html")]


PAPER = r"""\documentclass{article}
\usepackage{booktabs}
\usepackage{graphicx}
\begin{document}
\noindent\resizebox{\textwidth}{!}{\input{table.tex}}

%s
\end{document}
"""


def test_latex_takes_the_table_and_the_figures(folder):
    if shutil.which("pdflatex") is None:
        print("         (no pdflatex here: left out)")
        return
    routes = json.dumps({"layers": 4, "kv_heads": 4, "routes": [{"layer": 2, "head": 1, "key": 0, "value": 1}]})
    write_config(folder, f"model.routing = ['sla(distance=1, heads=2)', '{routes}']\ntraining.learning_rate = [1e-3, 1e-2]\n"
                         'training.beta2 = [0.9, 0.95]\nseeds = 2\n'
                         'best = "training.learning_rate"\ncontrols = ["parameters", "flops", "kv_bytes"]\n')
    sweep(folder, "out", "--set", "training.steps=2")
    figures = sorted((folder / "out" / "figures").glob("*.pdf"))
    assert any(path.stem == "difference_by_model.routing_and_training.beta2" for path in figures), figures
    lines = "\n\n".join(rf"\noindent\includegraphics{{figures/{path.name}}}" for path in figures)
    (folder / "out" / "paper.tex").write_text(PAPER % lines)
    done = subprocess.run(["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"], cwd=folder / "out",
                          capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Missing character" not in done.stdout and "Overfull" not in done.stdout, done.stdout[-3000:]
    table = (folder / "out" / "table.tex").read_text()
    # Two references, each with sla and its three controls, and the other routing with two: no plain heads cache as much.
    assert table.count(r" \\" + "\n") == 1 + 2 * (1 + 4 + 3), table


def test_dry_run_says_what_it_takes_and_leaves_no_trace(folder):
    write_config(folder, 'model.routing = ["sla"]\ndata.context = [32, 64]\nseeds = 2\n')
    given = sweep(folder, "out", "--dry-run", "--tokens-per-second", "1000")
    tokens = 6 * 2 * (32 + 64) * 2 * 2
    assert len(given["runs"]) == 8 and given["tokens"] == tokens
    assert abs(given["hours"] - tokens / 1000 / 3600) < 1e-12
    part = [sweep(folder, "out", "--dry-run", "--tokens-per-second", "1000", "--shard", f"{i}/3") for i in (1, 2, 3)]
    assert sum(len(shard["runs"]) for shard in part) == 8 and sum(shard["tokens"] for shard in part) == tokens
    measured = sweep(folder, "out", "--dry-run")
    assert measured["hours"] > 0 and measured["memory_bytes"] > 5e7
    assert not (folder / "out").exists()
    sweep(folder, "out")
    done = sweep(folder, "out", "--dry-run")
    assert done["tokens"] == 0 and done["hours"] == 0 and all(one["finished"] for one in done["runs"])
    held = sum(file.stat().st_size for file in (folder / "out" / "runs").rglob("*")
               if file.is_file() and not any(place.is_symlink() for place in (file, *file.parents)))
    assert 0.8 < given["disk_bytes"] / held < 2, (given["disk_bytes"], held)


def test_mistakes(folder):
    write_config(folder, 'model.routing = ["sla"]\n')
    base = ("sweep", "--config", folder / "sweep.toml", "--out", folder / "out")
    fails(*base, "--grid", "training.lr=1,2", says="training.lr: unknown key")
    fails(*base, "--grid", "model.routing=sla(distance=9)", says="distance must be")
    fails(*base, "--best", "training.steps", says="no list of values")
    fails(*base, "--control", "size", says="must be parameters, flops or kv_bytes")
    fails(*base, "--against", "data.context=3", says="no list of values")
    fails(*base, "--tokens-per-second", "3", says="dry-run")
    fails(*base, "--device", "cuda", says="no CUDA device", env={"CUDA_VISIBLE_DEVICES": ""})
    assert not (folder / "out").exists()
    fails(*base, "--collect", says="nothing to collect")
    run(*base, "--quiet")
    fails(*base, "--collect", "--set", "training.beta1=0.5", says=["[sweep]", "training.beta1"])


if __name__ == "__main__":
    harness.main(globals())
