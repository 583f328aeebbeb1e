"""compare: the same table however it was run; statistics that follow from the runs; a page that shows them."""
import json
import math
import shutil
import signal
import subprocess
import sys
import time

import harness
from harness import BINARY, fails, run, run_json

harness.require("numpy")

KEYS = ["name", "routing", "seeds", "verdict", "val_loss_mean", "val_loss_sd", "delta_vs_baseline", "delta_ci95", "p_value",
        "predicted_flops_ratio", "parameters", "kv_cache_bytes_per_token", "tokens_per_second", "peak_memory_bytes"]


def write_config(folder, seeds=2):
    harness.write_tokens(folder / "train.bin", 20000, 300)
    harness.write_tokens(folder / "val.bin", 3000, 300, seed=1)
    (folder / "run.toml").write_text(harness.toml(
        model={"layers": 4, "heads": 4, "width": 32, "vocabulary": 300},
        data={"train": "train.bin", "val": "val.bin", "context": 96, "end_of_text": 0},
        training={"steps": 6, "batch_size": 2, "learning_rate": 5e-3, "eval_every": 3, "eval_tokens": 960},
        compare={"variants": ["sla", "sla(keys=own)", "hot"], "seeds": seeds}) +
        "[variants.hot]\nmodel.routing = \"skipv1\"\ntraining.learning_rate = 1e-2\n")
    return folder / "run.toml"


def compare(folder, out, *more, **options):
    return run_json("compare", "--config", folder / "run.toml", "--out", folder / out, *more, **options)


def without_timing(result):
    """The table less what a clock or the memory says."""
    return [{key: value for key, value in variant.items() if key not in ("tokens_per_second", "peak_memory_bytes")}
            for variant in result["variants"]]


def test_the_table_follows_from_the_runs(folder):
    write_config(folder)
    result = compare(folder, "out")
    names = [variant["name"] for variant in result["variants"]]
    assert names == ["baseline", "sla", "sla(keys=own)", "hot"], names
    for variant in result["variants"]:
        missing = [key for key in KEYS if key not in variant]
        assert not missing, missing
        assert variant["p_value"] is None and variant["seeds"] == 2
    losses = {name: [json.loads((folder / "out" / "runs" / name / f"seed-{seed}" / "result.json").read_text())["val_loss"]
                     for seed in (1, 2)] for name in ("baseline", "sla")}
    differences = [a - b for a, b in zip(losses["sla"], losses["baseline"])]
    sla = result["variants"][1]
    assert abs(sla["delta_vs_baseline"] - sum(differences) / 2) < 1e-12
    half = 12.706204736174698 * abs(differences[0] - differences[1]) / 2  # t quantile, one degree of freedom
    assert abs(sla["delta_ci95"][1] - (sla["delta_vs_baseline"] + half)) < 1e-9
    low, high = sla["delta_ci95"]
    assert sla["verdict"] == ("better" if high < 0 else "worse" if low > 0 else "cannot tell")
    assert result["variants"][3]["kv_cache_bytes_per_token"] < result["variants"][0]["kv_cache_bytes_per_token"]
    assert sla["predicted_flops_ratio"] < 1 and sla["parameters"] < result["variants"][0]["parameters"]
    first = [json.loads((folder / "out" / "runs" / name / "seed-1" / "metrics.jsonl").read_text().splitlines()[0])["tokens"]
             for name in ("baseline", "sla")]
    assert first[0] == first[1]


def test_identical_variants_differ_by_nothing(folder):
    """Same batches, same initial weights: a variant that says what the baseline says ends where it ends."""
    write_config(folder)
    result = compare(folder, "out", "--variant", "baseline", "--variant", "same:model.routing=sla(keys=own,values=own)",
                     "--dtype", "fp32")
    same = result["variants"][1]
    assert same["delta_vs_baseline"] == 0.0 and same["verdict"] == "cannot tell", same


def test_shards_collection_interruption_and_later_seeds_give_the_same_table(folder):
    write_config(folder, seeds=3)
    straight = compare(folder, "straight", "--dtype", "fp32")
    for shard in ("1/3", "2/3", "3/3"):
        compare(folder, "sharded", "--dtype", "fp32", "--shard", shard)
    assert without_timing(compare(folder, "sharded", "--dtype", "fp32", "--collect")) == without_timing(straight)
    assert all(variant["p_value"] is not None for variant in straight["variants"][1:])

    process = subprocess.Popen([BINARY, "compare", "--config", folder / "run.toml", "--out", folder / "stopped",
                                "--dtype", "fp32", "--seeds", "2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, 3)
    later = compare(folder, "stopped", "--dtype", "fp32", "--seeds", "3")
    assert without_timing(later) == without_timing(straight)

    partial = folder / "partial"
    shutil.copytree(folder / "straight", partial)
    shutil.rmtree(partial / "runs" / "sla" / "seed-2")
    collected = compare(folder, "partial", "--dtype", "fp32", "--collect")
    assert collected["variants"][1]["seeds"] == 2 and collected["variants"][0]["seeds"] == 3


def test_dry_run_and_mistakes(folder):
    write_config(folder)
    plan = compare(folder, "out", "--dry-run")
    assert len(plan["runs"]) == 8 and plan["tokens"] == 8 * 6 * 2 * 96
    assert not (folder / "out").exists()
    base = ("compare", "--config", folder / "run.toml", "--out", folder / "out")
    fails(*base, "--shard", "4/3", says="must be I/N")
    fails(*base, "--variant", "sla(distance=9)", says=["variant 'sla(distance=9)'", "distance must be"])
    fails(*base, "--variant", "x:training.lr=3", says="training.lr")
    fails(*base, "--variant", "sla", "--variant", "sla", says="named twice")
    fails(*base, "--collect", says="nothing to collect")
    fails(*base, "--set", "data.val=[]", says="data.val: not given")
    run(*base, "--variant", "sla", "--quiet")
    fails(*base, "--variant", "sla", "--collect", "--set", "training.learning_rate=1", says="training.learning_rate")
    fails(*base, "--variant", "sla", "--set", "training.learning_rate=1", says="training.learning_rate")


def test_the_report_is_one_page_that_a_browser_shows(folder):
    write_config(folder)
    result = compare(folder, "out")
    page = (folder / "out" / "report.html").read_text()
    for variant in result["variants"]:
        assert variant["name"] in page
    browser = [sys.executable, f"{harness.os.environ.get('SKIPATTN_SOURCE_DIR', '.')}/tests/report_browser_test.py",
               str(folder / "out" / "report.html"), str(folder / "shots")]
    code = subprocess.run(browser, timeout=300).returncode
    assert code in (0, harness.SKIPPED), code


if __name__ == "__main__":
    harness.main(globals())
