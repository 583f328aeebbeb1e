"""Stopping and going on: signals, kill -9 at random moments, resumption bit for bit, each step exactly once."""
import json
import os
import random
import signal
import subprocess
import time

import harness
from harness import BINARY, fails, run, run_json

harness.require("numpy")

STEPS = 40


def write_config(folder, **training):
    harness.write_tokens(folder / "train.bin", 20000, 300)
    harness.write_tokens(folder / "val.bin", 2000, 300, seed=1)
    (folder / "run.toml").write_text(harness.toml(
        model={"layers": 4, "heads": 4, "width": 64, "vocabulary": 300, "routing": "sla(distance=2, heads=3)"},
        data={"train": "train.bin", "val": "val.bin", "context": 64},
        training={"steps": STEPS, "batch_size": 4, "micro_batch_size": 2, "dropout": 0.1, "eval_every": 5, "eval_tokens": 512,
                  "save_every": 3, "keep_last": 2, **training}))
    return folder / "run.toml"


def train(folder, out, *more, **options):
    return run("train", "--config", folder / "run.toml", "--out", folder / out, "--quiet", *more, **options)


def start(folder, out, *more):
    return subprocess.Popen([BINARY, "train", "--config", folder / "run.toml", "--out", folder / out, *more],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def rows(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def wait_for_rows(path, count, process):
    for _ in range(3000):
        if process.poll() is not None:
            return
        if (path / "metrics.jsonl").exists() and (path / "metrics.jsonl").read_text().count("\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError("no progress")


def assert_same_run(a, b):
    """Equal weights bit for bit, equal losses, every step once."""
    assert (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()
    for name in ("loss", "val_loss", "grad_norm", "lr", "tokens", "step"):
        assert [row.get(name) for row in rows(a)] == [row.get(name) for row in rows(b)], name
    assert [row["step"] for row in rows(b)] == list(range(1, STEPS + 1))


def assert_tensorboard_has_each_step_once(path):
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    except ImportError:
        print("         (tensorboard is not installed: its file was not read)")
        return
    files = list(path.glob("events.out.tfevents.*"))
    assert len(files) == 1, files
    steps = [event.step for event in EventFileLoader(str(files[0])).Load()
             for value in event.summary.value if value.tag == "loss/train"]
    assert steps == list(range(1, STEPS + 1)), steps


def test_signals_save_and_exit_with_3_and_the_rest_is_bit_for_bit(folder):
    for dtype in ("fp32", "bf16"):
        write_config(folder)
        train(folder, f"straight-{dtype}", "--dtype", dtype)
        for number, name in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)):
            process = start(folder, f"stopped-{dtype}", "--dtype", dtype, "--resume")
            wait_for_rows(folder / f"stopped-{dtype}", 5 + 9 * number, process)
            process.send_signal(name)
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 3, (name, process.returncode, errors)
            assert "--resume goes on from there" in errors
        train(folder, f"stopped-{dtype}", "--dtype", dtype, "--resume")
        assert_same_run(folder / f"straight-{dtype}", folder / f"stopped-{dtype}")
        assert_tensorboard_has_each_step_once(folder / f"stopped-{dtype}")


def test_kill_9_at_random_moments_leaves_a_good_checkpoint(folder):
    write_config(folder)
    train(folder, "straight", "--dtype", "fp32")
    draw = random.Random(5)
    kills = 0
    for _ in range(8):
        process = start(folder, "killed", "--dtype", "fp32", "--resume")
        log = folder / "killed" / "metrics.jsonl"
        done = log.read_text().count("\n") if log.exists() else 0
        wait_for_rows(folder / "killed", done + draw.randint(1, 7), process)
        time.sleep(0.03 * draw.random())
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.communicate()
        if (folder / "killed" / "config.json").exists():  # whatever happened, the folder opens as a model
            run("eval", "--model", folder / "killed", "--data", folder / "val.bin", "--context", 64, "--max-tokens", 64)
    train(folder, "killed", "--dtype", "fp32", "--resume")
    assert kills > 2, f"only {kills} runs were killed"
    assert_same_run(folder / "straight", folder / "killed")
    assert_tensorboard_has_each_step_once(folder / "killed")
    left = [name for name in os.listdir(folder / "killed") if name.startswith(".")]
    assert not left, left


def test_resume_begins_where_there_is_nothing_and_only_looks_at_what_is_finished(folder):
    write_config(folder, steps=4)
    first = run_json("train", "--config", folder / "run.toml", "--out", folder / "out", "--resume")
    again = run_json("train", "--config", folder / "run.toml", "--out", folder / "out", "--resume")
    assert again["steps"] == 4 and again["val_loss"] == first["val_loss"]
    longer = run_json("train", "--config", folder / "run.toml", "--out", folder / "out", "--resume", "--set", "training.steps=6")
    assert longer["steps"] == 6 and len(rows(folder / "out")) == 6


def test_two_different_signals_at_once_still_save(folder):
    write_config(folder)
    process = start(folder, "out", "--dtype", "fp32")
    wait_for_rows(folder / "out", 5, process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 3, process.returncode


def test_keep_last_keeps_so_many(folder):
    write_config(folder, steps=10, save_every=2, keep_last=3)
    train(folder, "out")
    kept = sorted(name for name in os.listdir(folder / "out") if name.startswith("checkpoint-"))
    assert kept == ["checkpoint-10", "checkpoint-6", "checkpoint-8"], kept


def test_losses_that_are_not_finite_skip_the_step_and_ten_end_the_run(folder):
    write_config(folder, steps=30, save_every=2, schedule="constant", warmup_steps=0, dropout=0.0)
    train(folder, "out", "--set", "training.steps=4", "--dtype", "fp32")
    good = (folder / "out" / "model.safetensors").read_bytes()
    # A weight so large that everything overflows from here on, as after a bad learning rate. (One that is infinite already
    # is not even loaded.)
    from safetensors.numpy import load_file, save_file
    weights = load_file(folder / "out" / "model.safetensors")
    weights["transformer.ln_f.weight"] = weights["transformer.ln_f.weight"] * 0 + 3e38
    target = (folder / "out" / "latest" / "model.safetensors").resolve()
    save_file(weights, target, metadata={"format": "pt"})
    done = fails("train", "--config", folder / "run.toml", "--out", folder / "out", "--resume", "--dtype", "fp32", "--quiet",
                 "--set", "training.save_every=0", code=1, says=["not finite ten steps in a row", "checkpoint-4"])
    after = rows(folder / "out")
    assert [row["step"] for row in after] == list(range(1, 15)), len(after)
    assert all(row["skipped"] and row["loss"] is None for row in after[4:])
    assert (folder / "out" / "latest").resolve().name == "checkpoint-4"
    assert good != target.read_bytes()


def test_threads_and_batch_split_do_not_change_the_order(folder):
    write_config(folder, steps=6, dropout=0.0)
    train(folder, "a", "--dtype", "fp32", "--threads", 1)
    train(folder, "b", "--dtype", "fp32", "--threads", 2, "--set", "training.micro_batch_size=1")
    for first, second in zip(rows(folder / "a"), rows(folder / "b")):
        assert abs(first["loss"] - second["loss"]) < 1e-4, (first, second)


if __name__ == "__main__":
    harness.main(globals())
