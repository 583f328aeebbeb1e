"""scripts/follow_run.py: a run that is killed and goes on stays one run with the service, and every step is sent once."""
import json
import os
import pathlib
import subprocess
import sys

import harness
from harness import run

harness.require("numpy")
try:
    import tomllib  # noqa: F401  the script needs Python 3.11
except ImportError:
    harness.skip("this python has no tomllib")

SCRIPT = pathlib.Path(os.environ.get("SKIPATTN_SOURCE_DIR", ".")) / "scripts" / "follow_run.py"

# Packages with the calls that the script makes; each appends what it was told to a file.
WANDB = """
import json, os
LOG = os.environ["FAKE_LOG"]
def told():
    return [json.loads(line) for line in open(LOG)] if os.path.exists(LOG) else []
class Run:
    def __init__(self, id):
        self.id = id
        steps = [row["step"] for row in told() if row["id"] == id and "FAKE_OFFLINE" not in os.environ]
        self.resumed, self.step = bool(steps), max(steps, default=-1) + 1
    def log(self, values, step):
        if os.environ.get("FAKE_BREAK") == str(step): raise ConnectionError("no network")
        open(LOG, "a").write(json.dumps({"id": self.id, "step": step, **values}) + "\\n")
    def finish(self): pass
def init(project, group, name, config, id, resume):
    assert (project, resume) == ("skipattn", "allow") and config["training.steps"] == 12, config
    return Run(id)
"""
MLFLOW = """
import json, os, types
LOG = os.environ["FAKE_LOG"]
def told():
    return [json.loads(line) for line in open(LOG)] if os.path.exists(LOG) else []
def tell(**row): open(LOG, "a").write(json.dumps(row) + "\\n")
class MlflowClient:
    def __init__(self, tracking_uri): self.uri = tracking_uri
    def get_experiment_by_name(self, name): return None
    def create_experiment(self, name): return "7"
    def create_run(self, experiment, run_name, tags):
        name = f"run{len({row['id'] for row in told()})}"
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=name))
    def update_run(self, run_id, status): pass
    def get_metric_history(self, run_id, key):
        return [types.SimpleNamespace(step=row["step"]) for row in told() if row["id"] == run_id and key in row]
    def log_batch(self, run_id, metrics=(), params=()):
        for metric in metrics: tell(id=run_id, step=metric.step, **{metric.key: metric.value})
    def set_terminated(self, run_id, status): tell(id=run_id, step=0, status=status)
"""
ENTITIES = """
import collections
Metric = collections.namedtuple("Metric", "key value timestamp step")
Param = collections.namedtuple("Param", "key value")
"""


def write_packages(folder):
    (folder / "packages" / "mlflow").mkdir(parents=True)
    (folder / "packages" / "wandb.py").write_text(WANDB)
    (folder / "packages" / "mlflow" / "__init__.py").write_text(MLFLOW)
    (folder / "packages" / "mlflow" / "entities.py").write_text(ENTITIES)


def follow(folder, *arguments, code=0, **env):
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PYTHONPATH": str(folder / "packages"), "FAKE_LOG": str(folder / "told"), **env})
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def told(folder):
    return [json.loads(line) for line in (folder / "told").read_text().splitlines()]


def train(folder, steps):
    if not (folder / "run.toml").exists():
        harness.write_tokens(folder / "train.bin", 5000, 300)
        harness.write_tokens(folder / "val.bin", 1000, 300, seed=1)
        (folder / "run.toml").write_text(harness.toml(
            model={"layers": 2, "heads": 2, "width": 16, "vocabulary": 300},
            data={"train": "train.bin", "val": "val.bin", "context": 32},
            training={"steps": 12, "batch_size": 2, "eval_every": 4, "eval_tokens": 320, "save_every": 4},
            run={"dtype": "fp32", "threads": 1}))
    run("train", "--config", folder / "run.toml", "--out", folder / "out", "--resume", "--quiet", "--set",
        f"training.steps={steps}")


def as_if_killed_at(folder, step):
    """What a kill in the middle of a row leaves of a finished run's log; run.toml asks for 12 steps."""
    rows = (folder / "out" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "out" / "metrics.jsonl").write_text("".join(rows[:step]) + rows[step][:20])
    return rows


def check_each_step_once(folder, rows):
    """Everything the log holds, under one id."""
    sent = told(folder)
    assert len({row["id"] for row in sent}) == 1, sent
    for key in ("loss", "val_loss", "lr", "tokens"):
        expected = [(row["step"], row[key]) for row in map(json.loads, rows) if row.get(key) is not None]
        assert [(row["step"], row[key]) for row in sent if key in row] == expected, key
    assert len(json.loads(rows[3])) > len(json.loads(rows[2]))  # there is a validation among them


def test_a_run_that_goes_on_stays_one_run(folder):
    write_packages(folder)
    train(folder, 12)
    for service, env in (("wandb", {}), ("wandb", {"FAKE_OFFLINE": "1"}), ("mlflow", {})):
        rows = as_if_killed_at(folder, 6)
        follow(folder, folder / "out", "--to", service, "--once", **env)
        (folder / "out" / "metrics.jsonl").write_text("".join(rows[:4]))  # requeued: goes on from the checkpoint
        follow(folder, folder / "out", "--to", service, "--once", **env)
        (folder / "out" / "metrics.jsonl").write_text("".join(rows))
        follow(folder, folder / "out", "--to", service, **env)  # ends by itself: the last step is there
        sent = [row for row in told(folder) if "status" not in row]
        assert (service == "mlflow") == (len(sent) != len(told(folder)))
        (folder / "told").write_text("".join(json.dumps(row) + "\n" for row in sent))
        check_each_step_once(folder, rows)
        (folder / "told").unlink()
        (folder / "out" / "follower.json").unlink()


def test_a_break_in_the_middle_is_taken_up(folder):
    write_packages(folder)
    train(folder, 12)
    rows = (folder / "out" / "metrics.jsonl").read_text().splitlines(keepends=True)
    broken = follow(folder, folder / "out", "--to", "wandb", code=1, FAKE_BREAK="8")
    assert "follow_run: while sending to wandb: ConnectionError: no network" in broken.stderr and "Traceback" not in broken.stderr
    follow(folder, folder / "out", "--to", "wandb")
    check_each_step_once(folder, rows)


def test_all_runs_of_a_comparison(folder):
    write_packages(folder)
    train(folder, 12)
    run("compare", "--config", folder / "run.toml", "--out", folder / "results", "--variant", "sla", "--quiet")
    done = follow(folder, folder / "results", "--to", "mlflow", "--once")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["baseline/seed-1", "sla/seed-1"], done.stdout
    assert {row["step"] for row in told(folder) if "loss" in row} == set(range(1, 13))
    assert len({row["id"] for row in told(folder)}) == 2


def test_mistakes(folder):
    write_packages(folder)
    assert "is not a folder" in follow(folder, folder / "none", "--to", "wandb", code=1).stderr
    assert "holds no run" in follow(folder, folder, "--to", "wandb", "--once", code=1).stderr
    train(folder, 12)
    (folder / "packages" / "wandb.py").unlink()
    (folder / "packages" / "wandb.py").write_text("raise ImportError('nothing here')\n")
    assert "needs the Python package wandb" in follow(folder, folder / "out", "--to", "wandb", code=1).stderr


if __name__ == "__main__":
    harness.main(globals())
