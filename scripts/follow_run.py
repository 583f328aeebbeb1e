#!/usr/bin/env python3
"""Sends the metrics of skipattn runs to Weights & Biases or MLflow, while they train or afterwards.

    scripts/follow_run.py runs/sla --to wandb --project skip-layers
    scripts/follow_run.py results/ --to mlflow --tracking-uri sqlite:///mlflow.db      all runs of a compare or sweep
    scripts/follow_run.py results/ --to mlflow --once                                  what is there now, then end

A run's folder is the truth: this script reads metrics.jsonl and run.toml, and writes only follower.json beside them (the
run's id with the service, and the last step sent). So a run that was killed, requeued or moved stays one run there, and each
step is sent once: rows that a resumed run writes again are the ones that were sent. Needs the package wandb or mlflow,
whichever --to names, and Python 3.11.
"""
import argparse
import json
import math
import os
import pathlib
import sys
import time
import tomllib
import uuid

METRICS = ("loss", "val_loss", "lr", "grad_norm", "step_ms", "tokens")


class Fault(Exception):
    """What a person can put right; printed without a trace."""


def read_rows(folder, after):
    """Rows of metrics.jsonl beyond step `after`, in order; a last line that is still being written is left for later."""
    rows = []
    try:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return rows
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        try:
            row = json.loads(line)
        except ValueError:
            raise Fault(f"{folder / 'metrics.jsonl'}: holds a line that is no JSON: {line[:60]!r}") from None
        if row["step"] > after:
            rows.append(row)
    return rows


def numbers(row):
    """The metrics of a row that are finite numbers."""
    return {key: float(row[key]) for key in METRICS
            if isinstance(row.get(key), (int, float)) and math.isfinite(row[key])}


def read_settings(folder):
    """run.toml as {"training.steps": 100, …}."""
    with open(folder / "run.toml", "rb") as file:
        return {f"{section}.{key}": value for section, keys in tomllib.load(file).items() for key, value in keys.items()}


class Wandb:
    name = "wandb"

    def __init__(self, options, wandb):
        self.options, self.wandb, self.run = options, wandb, None

    def open(self, run_name, group, settings, run_id):
        """Begins or goes on with a run; returns its id and the last step that the service has."""
        run_id = run_id or uuid.uuid4().hex[:12]
        self.run = self.wandb.init(project=self.options.project, group=group, name=run_name, config=settings, id=run_id,
                                   resume="allow")
        return run_id, self.run.step - 1 if self.run.resumed else 0

    def send(self, rows):
        for row in rows:
            self.run.log(numbers(row), step=row["step"])

    def close(self, finished):
        self.run.finish()


class MLflow:
    name = "mlflow"
    batch = 100  # rows; a call takes up to 1000 metrics

    def __init__(self, options, mlflow):
        self.client, self.entity = mlflow.MlflowClient(tracking_uri=options.tracking_uri), mlflow.entities
        found = self.client.get_experiment_by_name(options.project)
        self.experiment = found.experiment_id if found else self.client.create_experiment(options.project)
        self.run_id = None

    def open(self, run_name, group, settings, run_id):
        if run_id is None:
            tags = {"skipattn.group": group}
            run_id = self.client.create_run(self.experiment, run_name=run_name, tags=tags).info.run_id
            values = [self.entity.Param(key, str(value)[:500]) for key, value in settings.items()]
            self.client.log_batch(run_id, params=values)
        else:
            self.client.update_run(run_id, status="RUNNING")
        self.run_id = run_id
        return run_id, max((metric.step for metric in self.client.get_metric_history(run_id, "tokens")), default=0)

    def send(self, rows):
        for begin in range(0, len(rows), self.batch):
            values = [self.entity.Metric(key, value, int(1000 * row.get("time", 0)), row["step"])
                      for row in rows[begin:begin + self.batch] for key, value in numbers(row).items()]
            self.client.log_batch(self.run_id, metrics=values)

    def close(self, finished):
        if finished:
            self.client.set_terminated(self.run_id, status="FINISHED")


class Follower:
    """One run: its folder, what was sent of it, and whether it is complete."""

    def __init__(self, folder):
        self.folder = folder
        parts = folder.parts
        in_runs = len(parts) > 3 and parts[-3] == "runs"  # OUT/runs/VARIANT/seed-1
        self.name = "/".join(parts[-2:]) if in_runs else folder.name
        self.group = parts[-4] if in_runs else folder.name

    def state(self):
        try:
            return json.loads((self.folder / "follower.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def save(self, service, run_id, step):
        """In place of the old file at once, so that a kill leaves one or the other."""
        state = {**self.state(), service: {"id": run_id, "step": step}}
        new = self.folder / "follower.json.new"
        new.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        os.replace(new, self.folder / "follower.json")

    def send_news(self, service):
        """Sends the rows that are new. Returns whether the run has reached its last step and all of it was sent."""
        if not (self.folder / "run.toml").exists():
            return False
        settings = read_settings(self.folder)
        known = self.state().get(service.name, {})
        step = known.get("step", 0)
        rows = read_rows(self.folder, step)
        if rows:
            run_id, there = service.open(self.name, self.group, settings, known.get("id"))
            self.save(service.name, run_id, max(step, there))
            service.send([row for row in rows if row["step"] > there])
            step = rows[-1]["step"]
            self.save(service.name, run_id, step)
            service.close(finished=step >= settings["training.steps"])
            print(f"{self.name}: sent up to step {step}", flush=True)
        return step >= settings["training.steps"]


def followers(root):
    """The run itself, or all runs below a folder of compare or sweep."""
    if (root / "run.toml").exists() or (root / "metrics.jsonl").exists():
        return [Follower(root)]
    return [Follower(file.parent) for file in sorted(root.glob("runs/*/*/run.toml"))]


def make_service(options):
    try:
        if options.to == "wandb":
            import wandb
            return Wandb(options, wandb)
        import mlflow
        import mlflow.entities
        return MLflow(options, mlflow)
    except ImportError as error:
        raise Fault(f"--to {options.to} needs the Python package {options.to}: pip install {options.to} ({error})") from None


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder of a run, or --out of compare or sweep")
    parser.add_argument("--to", choices=("wandb", "mlflow"), required=True)
    parser.add_argument("--project", default="skipattn", help="project (wandb) or experiment (mlflow); default: skipattn")
    parser.add_argument("--tracking-uri", help="where MLflow keeps its runs; default: as MLflow's own settings say")
    parser.add_argument("--every", type=float, default=30, help="seconds between looks; default: 30")
    parser.add_argument("--once", action="store_true", help="send what is there and end")
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    root = options.folder.resolve()
    if not root.is_dir():
        raise Fault(f"'{options.folder}' is not a folder")
    if options.once and not followers(root):
        raise Fault(f"'{options.folder}' holds no run (no run.toml)")
    is_one_run = any(run.folder == root for run in followers(root))
    try:
        follow(options, root, is_one_run)
    except Fault:
        raise
    except Exception as error:  # the services' packages have many kinds
        raise Fault(f"while sending to {options.to}: {type(error).__name__}: {error}") from error


def follow(options, root, is_one_run):
    service = make_service(options)
    while True:
        finished = [run.send_news(service) for run in followers(root)]
        if options.once or (is_one_run and all(finished)):  # a sweep may begin more runs at any time
            return
        time.sleep(options.every)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Fault as fault:
        sys.exit(f"follow_run: {fault}")
    except KeyboardInterrupt:
        sys.exit(130)
