"""The command line: the keys that scripts rely on, exit codes, and one clear sentence for every mistake."""
import gzip
import json
import os
import pathlib
import shutil
import subprocess

import harness
from harness import fails, run, run_json

harness.require("numpy")

TINY = {"layers": 2, "heads": 2, "width": 16, "vocabulary": 300}


def config(folder, name="run.toml", **sections):
    base = {"model": TINY, "data": {"train": "train.bin", "val": "val.bin", "context": 16},
            "training": {"steps": 3, "batch_size": 2, "eval_tokens": 64}}
    for section, keys in sections.items():
        base.setdefault(section, {}).update(keys)
    if not (folder / "train.bin").exists():
        harness.write_tokens(folder / "train.bin", 400, 300)
        harness.write_tokens(folder / "val.bin", 200, 300, seed=1)
    (folder / name).write_text(harness.toml(**base))
    return folder / name


def has_keys(result, *keys):
    missing = [key for key in keys if key not in result]
    assert not missing, f"missing {missing} in {list(result)}"


def test_help_version_and_wrong_use(folder):
    assert "compare" in run("--help").stdout
    for command in ("plan", "tokenize", "train", "eval", "compare", "sweep", "convert", "generate", "serve",
                    "profile"):
        text = run(command, "--help").stdout
        assert "Examples:" in text and "--json" in text, command
    fails(code=2)
    fails("paln", code=2, says="did you mean 'plan'?")
    fails("plan", "--modle", "gpt2", code=2, says="--modle")
    fails("plan", "--dtype", "fp12", code=2)
    fails("plan", "--context", "0", says="must be a whole number of 1 or more")


def test_plan_keys(folder):
    plan = run_json("plan", "--model", "gpt2", "--routing", "sla(distance=9,heads=9)")
    has_keys(plan, "layers", "heads", "kv_heads", "head_width", "parameters", "parameters_baseline", "live_key_heads",
             "live_value_heads", "kv_cache_bytes_per_token", "kv_cache_bytes_per_token_baseline", "kv_cache_saved",
             "flops_per_token_forward", "routes")
    assert plan["kv_cache_saved"] == 0.1875 and plan["parameters_baseline"] == 124439808, plan
    assert plan["routes"][11][3] == {"key": 2, "value": 2} and plan["routes"][11][2] == {"key": 11, "value": 11}
    assert run_json("plan", "--routing", "sla(distance=6,heads=9)")["kv_cache_saved"] == 0.375


def test_routing_mistakes(folder):
    for text, says in [("sla(distance=12)", "distance must be 1..11 for a model of 12 layers"),
                       ("slaa", "sla"), ("sla(distnace=3)", "distance"), ("sla(heads=99)", "heads"), ("{", "JSON"),
                       ('{"layers": 12, "kv_heads": 12, "routes": [{"layer": 2, "key": 5, "value": 99}]}', "99")]:
        fails("plan", "--model", "gpt2", "--routing", text, says=says)
    fails("plan", "--model", "gpt-2", says="did you mean 'gpt2'")
    fails("plan", "--model", folder / "nowhere", says="no such folder")


def test_tokenize_reads_every_form_alike(folder):
    text = "Some text, and more of it.\n" * 50
    (folder / "docs").mkdir()
    for i in range(8):
        (folder / "docs" / f"{i}.txt").write_text(text + str(i))
    lines = "".join(json.dumps({"text": text + str(i)}) + "\n" for i in range(8))
    (folder / "docs.jsonl").write_text(lines)
    with gzip.open(folder / "packed.jsonl.gz", "wt") as file:
        file.write(lines)
    made = run_json("tokenize", folder / "docs", "--train-bpe", 300, "--out", folder / "a.bin")
    has_keys(made, "tokens", "bytes", "documents", "vocab_size", "files")
    assert made["documents"] == 8 and made["files"] == 8, made
    vocabulary = folder / "tokenizer"
    first = (folder / "a.bin").read_bytes()
    for name, source in [("b", folder / "docs.jsonl"), ("c", folder / "packed.jsonl.gz")]:
        (folder / name).mkdir()
        run("tokenize", source, "--tokenizer", vocabulary, "--out", folder / name / "x.bin")
        assert (folder / name / "x.bin").read_bytes() == first, name
    (folder / "d").mkdir()
    run("tokenize", "-", "--tokenizer", vocabulary, "--out", folder / "d" / "x.bin", stdin=lines)
    assert (folder / "d" / "x.bin").read_bytes() == first
    split = run_json("tokenize", folder / "docs", "--tokenizer", vocabulary, "--out", folder / "train.bin", "--val", 0.3)
    assert split["train"]["documents"] + split["val"]["documents"] == 8
    assert (folder / "val.bin").exists()


def test_tokenize_mistakes(folder):
    (folder / "a.txt").write_text("text " * 100)
    (folder / "bad.jsonl").write_text('{"text": "x"}\n{"text": \n')
    (folder / "cut.gz").write_bytes(gzip.compress(b"hello " * 1000)[:-9])
    (folder / "empty").mkdir()
    out = ("--out", folder / "x.bin")
    fails("tokenize", folder / "a.txt", *out, says="either --tokenizer DIR or --train-bpe N")
    fails("tokenize", folder / "missing.txt", "--train-bpe", 300, *out, says="missing.txt")
    fails("tokenize", folder / "empty", "--train-bpe", 300, *out, says="empty")
    fails("tokenize", folder / "bad.jsonl", "--train-bpe", 300, *out, says=["bad.jsonl", "2"])
    fails("tokenize", folder / "cut.gz", "--train-bpe", 300, *out, says="cut.gz")
    fails("tokenize", folder / "a.txt", "--tokenizer", folder / "empty", *out, says="empty")
    (folder / "broken").mkdir()
    (folder / "broken" / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {')
    fails("tokenize", folder / "a.txt", "--tokenizer", folder / "broken", *out, says="tokenizer.json")
    fails("tokenize", folder / "a.txt", "--train-bpe", 300, "--out", folder / "a.txt" / "x.bin", code=1, says="a.txt")
    assert not (folder / "x.bin").exists() and not (folder / "x.bin.json").exists()


def test_a_tokenizer_belongs_to_its_token_files(folder):
    (folder / "a.txt").write_text("some words and others, one line after another\n" * 100)
    run("tokenize", folder / "a.txt", "--train-bpe", 300, "--val", 0.2, "--out", folder / "data" / "train.bin")
    fails("tokenize", folder / "a.txt", "--train-bpe", 280, "--out", folder / "data" / "other.bin", says="holds another vocabulary")
    assert not (folder / "data" / "other.bin").exists()
    run("tokenize", folder / "a.txt", "--train-bpe", 280, "--out", folder / "more" / "x.bin")
    settings = ("train", "--config", config(folder), "--out", folder / "out", "--set", f"data.train={folder}/data/train.bin",
                "--set", f"data.val={folder}/data/val.bin", "--set", "model.vocabulary=0", "--set", "training.steps=1")
    fails(*settings, "--set", f"data.tokenizer={folder}/more/tokenizer", says="is not the one that")
    fails(*settings, "--set", f"data.val={folder}/more/x.bin", says="different vocabularies")
    fails(*settings, "--set", "data.packing=documents", "--set", "data.context=9000", says="the longest has")
    run(*settings)
    assert (folder / "out" / "vocab.json").exists()


def test_train_and_eval_keys(folder):
    result = run_json("train", "--config", config(folder), "--out", folder / "out")
    has_keys(result, "steps", "train_loss", "val_loss", "tokens_per_second", "peak_memory_bytes")
    rows = [json.loads(line) for line in (folder / "out" / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        has_keys(row, "step", "tokens", "loss", "lr", "grad_norm", "step_ms")
    assert [row["tokens"] for row in rows] == [32, 64, 96] and "val_loss" in rows[-1]
    evaluation = run_json("eval", "--model", folder / "out", "--data", folder / "val.bin", "--context", 16, "--dtype", "fp32")
    has_keys(evaluation, "loss", "perplexity", "bits_per_byte", "tokens", "loss_by_position", "tokens_per_second")
    assert evaluation["tokens"] == (200 - 1) // 16 * 16
    assert evaluation["loss_by_position"][0]["from"] == 0
    strided = run_json("eval", "--model", folder / "out", "--data", folder / "val.bin", "--context", 16, "--stride", 4)
    assert strided["tokens"] == 16 + ((200 - 1 - 16) // 4) * 4, strided


def test_train_mistakes(folder):
    good = config(folder)
    out = ("--out", folder / "out")
    fails("train", "--config", folder / "none.toml", *out, says="none.toml")
    fails("train", "--config", good, says="--out")
    (folder / "broken.toml").write_text("[model\nx = 1")
    fails("train", "--config", folder / "broken.toml", *out, says="broken.toml:1")
    fails("train", "--config", config(folder, "a.toml", training={"step": 3}), *out, says="did you mean 'steps'?")
    fails("train", "--config", config(folder, "b.toml", traning={"steps": 3}), *out, says="did you mean 'training'?")
    fails("train", "--config", config(folder, "c.toml", training={"steps": "three"}), *out, says="must be a whole number")
    several = config(folder, "d.toml", training={"steps": 0, "beta1": 1.5, "schedule": "cosin"})
    fails("train", "--config", several, *out, says=["training.steps=0", "training.beta1=1.5", "did you mean 'cosine'"])
    fails("train", "--config", good, *out, "--set", "training.lerning_rate=1", says="did you mean 'training.learning_rate'?")
    fails("train", "--config", good, *out, "--set", "model.routing=sla(distance=2)", says="distance must be 1 for a model of 2 layers")
    fails("train", "--config", good, *out, "--set", "data.train=nothing.bin", says="nothing.bin")
    fails("train", "--config", good, *out, "--set", "data.context=4000", says="4000")
    fails("train", "--config", good, *out, "--set", "model.vocabulary=100", says="100")
    fails("train", "--config", good, *out, "--set", "model.positions=8", says="data.context=16: the model has model.positions=8")
    fails("train", "--config", good, *out, "--set", "data.document_mask=true", says="end")
    fails("train", "--config", good, *out, "--init", folder / "nowhere", says="no such folder")
    (folder / "odd.bin").write_bytes(b"abc")
    fails("train", "--config", good, *out, "--set", f"data.train={folder}/odd.bin", says="odd.bin")
    assert not (folder / "out").exists(), "a refused run must leave nothing"
    run("train", "--config", good, *out)
    fails("train", "--config", good, *out, says="holds a run already")
    fails("train", "--config", good, *out, "--resume", "--set", "training.learning_rate=1", says="training.learning_rate")
    fails("eval", "--model", folder / "out", "--data", folder / "val.bin", "--context", 99, says="positions for 16 tokens")


def test_corrupt_checkpoints(folder):
    run("train", "--config", config(folder), "--out", folder / "out")
    good = folder / "model"
    shutil.copytree(folder / "out" / "latest", good)
    weights = (good / "model.safetensors").read_bytes()
    evaluate = ("eval", "--model", good, "--data", folder / "val.bin", "--context", 16)
    for damage in (weights[:-1], weights[:100], b"", b"\xff" * 64, weights[:8] + b"x" + weights[9:]):
        (good / "model.safetensors").write_bytes(damage)
        fails(*evaluate, says="model.safetensors")
    (good / "model.safetensors").write_bytes(weights)
    configuration = json.loads((good / "config.json").read_text())
    (good / "config.json").write_text(json.dumps({**configuration, "kv_routing": "sla(distance=7)"}))
    fails(*evaluate, says="distance must be")
    (good / "config.json").write_text("{]")
    fails(*evaluate, says="config.json")
    fails("convert", "--from", good, "--to", folder / "new")
    assert not (folder / "new").exists()


def test_token_files_that_do_not_fit(folder):
    run("train", "--config", config(folder), "--out", folder / "out")
    harness.write_tokens(folder / "large.bin", 200, 5000)
    fails("eval", "--model", folder / "out", "--data", folder / "large.bin", "--context", 16, says="large.bin")
    (folder / "t.txt").write_text("one two three four " * 200)
    run("tokenize", folder / "t.txt", "--train-bpe", 290, "--out", folder / "t.bin")
    whole = (folder / "t.bin").read_bytes()
    (folder / "t.bin").write_bytes(whole[:-2])
    fails("eval", "--model", folder / "out", "--data", folder / "t.bin", "--context", 16, says="t.bin")
    (folder / "t.bin").write_bytes(whole)
    (folder / "t.bin.json").write_text('{"tokens": ')
    fails("eval", "--model", folder / "out", "--data", folder / "t.bin", "--context", 16, says="t.bin.json")
    (folder / "short.bin").write_bytes(b"\1\0" * 10)
    fails("eval", "--model", folder / "out", "--data", folder / "short.bin", "--context", 16, says="short.bin")


def test_folders_that_cannot_be_written(folder):
    good = config(folder)
    (folder / "file").write_text("")
    fails("train", "--config", good, "--out", folder / "file" / "out", code=1, says="file")
    if os.geteuid() != 0:
        (folder / "locked").mkdir(mode=0o500)
        fails("train", "--config", good, "--out", folder / "locked" / "out", code=1, says="locked")


def test_a_full_disk_loses_nothing(folder):
    """A tiny tmpfs takes the first checkpoint and not the second; the first stays whole."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk],
                                           capture_output=True).returncode != 0:
        print("         (not allowed to mount a small disk here: left out)")
        return
    try:
        good = config(folder)
        run("train", "--config", good, "--out", disk / "out", "--set", "training.save_every=1", "--set", "training.steps=1")
        before = (disk / "out" / "model.safetensors").read_bytes()
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        fails("train", "--config", good, "--out", disk / "out", "--set", "training.save_every=1",
              "--set", "training.steps=3", "--resume", code=1, says="disk")
        filler.unlink()
        assert (disk / "out" / "model.safetensors").read_bytes() == before
        run("train", "--config", good, "--out", disk / "out", "--set", "training.save_every=1",
            "--set", "training.steps=3", "--resume")
    finally:
        subprocess.run(["umount", disk], check=False)


def test_generate_continues_a_prompt(folder):
    (folder / "t.txt").write_text("one two three four " * 400)
    run("tokenize", folder / "t.txt", "--train-bpe", 290, "--out", folder / "train.bin")
    shutil.copy(folder / "train.bin", folder / "val.bin")
    for name in ("json", "offsets"):
        shutil.copy(folder / f"train.bin.{name}", folder / f"val.bin.{name}")
    made = config(folder)
    run("train", "--config", made, "--out", folder / "out", "--set", "training.steps=1", "--set", "model.vocabulary=0")
    result = run_json("generate", "--model", folder / "out", "--prompt", "one two", "--max-new-tokens", 5, "--seed", 3)
    has_keys(result, "text", "token_ids", "prompt_tokens", "prefill_tokens_per_second", "decode_tokens_per_second",
             "kv_cache_bytes")
    again = run_json("generate", "--model", folder / "out", "--prompt", "one two", "--max-new-tokens", 5, "--seed", 3)
    assert again["token_ids"] == result["token_ids"]
    for weights, cache in (("int8", "bf16"), ("fp32", "fp32"), ("bf16", "int8")):
        eight = run_json("generate", "--model", folder / "out", "--prompt", "one two", "--max-new-tokens", 5,
                         "--weights", weights, "--cache-dtype", cache)
        assert len(eight["token_ids"]) == 5, eight
    whole = run_json("generate", "--model", folder / "out", "--prompt", "one two", "--max-new-tokens", 8, "--seed", 3)
    stop = whole["text"][2:4]
    cut = run_json("generate", "--model", folder / "out", "--prompt", "one two", "--max-new-tokens", 8, "--seed", 3,
                   "--stop", stop, "--stop", "never this")
    assert cut["text"] == whole["text"][:whole["text"].index(stop)] and cut["finish"] == "stop_string", (cut, whole)
    fails("generate", "--model", folder / "out", "--prompt", "one", "--stop", "", says="stop string")
    fails("generate", "--model", folder / "out", "--prompt", "one", "--min-p", 2, says="min_p=2")
    fails("generate", "--model", folder / "out", "--prompt", "one", "--max-new-tokens", 500, says="16")


def profile_model(folder):
    """2 layers, 2 heads of 8, width 16, MLP 64, vocabulary 300, 16 positions; the last layer's head 1 borrows."""
    settings = config(folder, training={"steps": 1}, model={**TINY, "routing": "sla(distance=1, heads=1)"})
    run("train", "--config", settings, "--out", folder / "out", "--dtype", "fp32")
    return folder / "out"


def test_profile_keys_and_flops(folder):
    model = profile_model(folder)
    products = 2 * (2 * (4 * 16 * 16 + 2 * 16 * 64) - 2 * 8 * 16)  # of one token, one K and one V head dead
    head = 2 * 300 * 16
    attention = 4 * 8 * 2 * 2  # of one key that a token attends in every head of both layers
    keys = 16 * 17 // 2  # attended by one sequence of 16
    expected = {"train": 3 * 3 * 16 * (products + head) + 3.5 * 3 * keys * attention,
                "prefill": 3 * 16 * products + 3 * head + 3 * keys * attention,
                "decode": 3 * (products + head) + 3 * 16 * attention}
    for mode, flops in expected.items():
        result = run_json("profile", "--model", model, "--context", 16, "--batch", 3, "--mode", mode, "--steps", 3)
        has_keys(result, "step_ms", "tokens_per_second", "flops_per_step", "achieved_flops", "gemm_peak_flops",
                 "utilisation", "peak_memory_bytes", "operations", "roofline_ms", "roofline_share", "page_faults_per_step", "machine")
        assert result["flops_per_step"] == flops == sum(result["flops"].values()), (mode, flops, result)
        step = result["step_ms"]
        assert 0 < step["min"] <= step["median"] <= step["max"], step
        tokens = 3 if mode == "decode" else 48
        assert abs(result["tokens_per_second"] * step["median"] / 1e3 / tokens - 1) < 1e-9, result
        assert abs(result["utilisation"] - result["achieved_flops"] / result["gemm_peak_flops"]) < 1e-12, result
        assert abs(sum(operation["share"] for operation in result["operations"]) - 1) < 1e-9, result["operations"]
        assert result["operations"][-1]["name"] == "other" and result["peak_memory_bytes"] > 1 << 20, result
        has_keys(result["operations"][0], "name", "ms", "share")
    assert result["kv_cache_bytes"] == 3 * 16 * (3 + 3) * 8 * 2 <= result["kv_cache_allocated_bytes"], result
    assert result["memory_bandwidth"] > 1e8 and result["bytes_per_step"] > result["kv_cache_bytes"], result


def test_profile_compares_routings(folder):
    model = profile_model(folder)
    result = run_json("profile", "--model", model, "--context", 16, "--steps", 1, "--routing", "sla(distance=1, heads=1)",
                      "--compare-routing", "sla(distance=1, heads=1, chain=resolved)", "--pairs", 3)["comparison"]
    has_keys(result, "routing", "pairs", "step_ratio", "step_ratio_ci95", "predicted_flops_ratio", "peak_memory_bytes",
             "compared_peak_memory_bytes")
    assert result["pairs"] == 3 and result["predicted_flops_ratio"] == 1, result
    low, high = result["step_ratio_ci95"]
    assert low <= result["step_ratio"] <= high and result["compared_peak_memory_bytes"] > 1 << 20, result
    text = run("profile", "--model", "gpt2-tiny", "--routing", "sla", "--compare-routing", "baseline", "--context", 32,
               "--mode", "prefill", "--steps", 1, "--pairs", 2, "--quiet").stdout
    assert "ratio of the times" in text and "the FLOPs predict 0.9" in text and "roofline" in text, text


def test_profile_mistakes(folder):
    fails("profile", "--mode", "training", says="training")
    fails("profile", "--context", 0, says="1 or more")
    fails("profile", "--model", "gpt-2", says="did you mean 'gpt2'")
    fails("profile", "--model", "gpt2-tiny", "--routing", "sla(distance=4)", says="distance must be 1..3")
    fails("profile", "--model", "gpt2-tiny", "--compare-routing", "slaa", says="did you mean 'sla'")
    fails("profile", "--model", "gpt2-tiny", "--batch", 3, "--micro-batch", 2, says="micro_batch=2: must divide batch=3")
    fails("profile", "--model", "gpt2-tiny", "--mode", "decode", "--recompute", says="belongs to --mode train")
    fails("profile", "--model", "gpt2-tiny", "--mode", "decode", "--weights", "int8", "--dtype", "fp32",
          says="computes in bf16")
    fails("profile", "--model", "gpt2-tiny", "--weights", "int8", says="belongs to models that are read")
    fails("train", "--out", "nowhere", "--weights", "bf16", "--cache-dtype", "int8", says="there is no KV cache here")
    fails("profile", "--model", "gpt2-tiny", "--mode", "decode", "--context", 1, says="context=1: must be 2 or more")
    fails("profile", "--model", "gpt2-tiny", "--device", "cuda", says="--device cpu")
    model = profile_model(folder)
    fails("profile", "--model", model, "--context", 17, says="positions for 16 tokens")
    fails("profile", "--model", model, "--context", 17, "--compare-routing", "sla(distance=1, heads=1)", says="16 tokens")
    fails("profile", "--model", model, "--context", 16, "--compare-routing", "baseline", says="no weights")


if __name__ == "__main__":
    harness.main(globals())
