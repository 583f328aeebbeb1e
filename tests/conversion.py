"""convert: losses around a conversion, longer contexts, shards, dtypes, and one sentence for every wrong folder."""
import json
import shutil

import harness
from harness import fails, run, run_json

harness.require("torch", "safetensors", "numpy")
import torch
from safetensors.torch import load_file, save_file

SIZES = {"n_layer": 4, "n_head": 4, "n_embd": 64, "n_positions": 32, "vocab_size": 311}
ROUTING = "sla(distance=2, heads=3)"


def random_folder(folder, **changes):
    """A GPT-2 folder as Hugging Face has it."""
    torch.manual_seed(3)
    folder.mkdir()
    tensors = {"wte.weight": torch.randn(311, 64), "wpe.weight": torch.randn(32, 64)}
    for layer in range(4):
        for name, shape in {"ln_1.weight": [64], "ln_1.bias": [64], "attn.c_attn.weight": [64, 192], "attn.c_attn.bias": [192],
                            "attn.c_proj.weight": [64, 64], "attn.c_proj.bias": [64], "ln_2.weight": [64], "ln_2.bias": [64],
                            "mlp.c_fc.weight": [64, 256], "mlp.c_fc.bias": [256], "mlp.c_proj.weight": [256, 64],
                            "mlp.c_proj.bias": [64]}.items():
            tensors[f"h.{layer}.{name}"] = torch.randn(shape)
    tensors |= {"ln_f.weight": torch.randn(64), "ln_f.bias": torch.randn(64)}
    tensors = {"transformer." + name: 0.1 * value for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **SIZES, **changes}))
    return tensors


def test_losses_before_and_after_are_evals(folder):
    random_folder(folder / "a")
    harness.write_tokens(folder / "t.bin", 2000, 311)
    convert = ("convert", "--from", folder / "a", "--routing", ROUTING, "--data", folder / "t.bin", "--dtype", "fp32")
    result = run_json(*convert, "--to", folder / "b", "--max-tokens", 640)
    assert result["loss_context"] == 32 and result["positions"] == 32, result
    for key, model in (("loss_before", "a"), ("loss_after", "b")):
        loss = run_json("eval", "--model", folder / model, "--data", folder / "t.bin", "--dtype", "fp32", "--max-tokens", 640)["loss"]
        assert abs(loss - result[key]) < 1e-6, (key, loss, result)
    assert result["loss_before"] != result["loss_after"] and "loss_after_at_positions" not in result
    mean = run_json(*convert, "--to", folder / "mean", "--max-tokens", 640, "--lend", "mean")
    assert mean["loss_before"] == result["loss_before"] and mean["loss_after"] != result["loss_after"], (mean, result)
    text = run(*convert, "--to", folder / "c").stdout
    assert f"loss {result['loss_before']:.2f}" in text and "value heads 1-3" in text, text


def test_longer_contexts(folder):
    tensors = random_folder(folder / "a")
    harness.write_tokens(folder / "t.bin", 2000, 311)
    result = run_json("convert", "--from", folder / "a", "--to", folder / "b", "--context", 96, "--data", folder / "t.bin")
    assert result["positions"] == 96 and "loss_after_at_positions" in result, result
    assert abs(result["loss_before"] - result["loss_after"]) < 1e-6, "the first positions must stay as they are"
    positions = load_file(folder / "b" / "model.safetensors")["transformer.wpe.weight"]
    assert torch.equal(positions, tensors["transformer.wpe.weight"].repeat(3, 1))
    run("eval", "--model", folder / "b", "--data", folder / "t.bin", "--context", 96)
    run("convert", "--from", folder / "a", "--to", folder / "c", "--context", 63, "--positions", "interpolate")
    positions = load_file(folder / "c" / "model.safetensors")["transformer.wpe.weight"]
    assert torch.allclose(positions[::2], tensors["transformer.wpe.weight"], atol=1e-6)
    assert json.loads((folder / "c" / "config.json").read_text())["n_positions"] == 63


def test_shards_and_bf16(folder):
    tensors = random_folder(folder / "a")
    run("convert", "--from", folder / "a", "--to", folder / "b", "--max-shard-size", "100KB")
    shards = sorted((folder / "b").glob("model-*.safetensors"))
    assert len(shards) > 4 and not (folder / "b" / "model.safetensors").exists()
    assert all(path.stat().st_size < 104_000 for path in shards), shards
    found = {name: value for path in shards for name, value in load_file(path).items()}
    assert set(found) == set(tensors) and all(torch.equal(found[name], tensors[name]) for name in tensors)
    run("convert", "--from", folder / "b", "--to", folder / "c")
    assert all(torch.equal(value, tensors[name]) for name, value in load_file(folder / "c" / "model.safetensors").items())
    run("convert", "--from", folder / "a", "--to", folder / "d", "--weights", "bf16")
    assert all(torch.equal(value, tensors[name].bfloat16()) for name, value in load_file(folder / "d" / "model.safetensors").items())
    assert json.loads((folder / "d" / "config.json").read_text())["torch_dtype"] == "bfloat16"


def refused(folder, source, says, *more):
    fails("convert", "--from", source, "--to", folder / "x", *more, says=says)
    assert not (folder / "x").exists() and not list(folder.glob(".x*")), "something was written"


def test_wrong_folders_write_nothing(folder):
    tensors = random_folder(folder / "a")
    weights = folder / "a" / "model.safetensors"
    configuration = json.loads((folder / "a" / "config.json").read_text())

    def with_tensors(changes):
        save_file({name: value for name, value in {**tensors, **changes}.items() if value is not None}, weights)

    name = "transformer.h.2.mlp.c_fc.weight"
    with_tensors({name: None})
    refused(folder, folder / "a", f"tensor '{name}' is missing")
    with_tensors({name: torch.zeros(64, 255)})
    refused(folder, folder / "a", f"tensor '{name}' has shape [64, 255], the config says [64, 256]")
    with_tensors({"transformer.h.4.ln_1.weight": torch.ones(64)})
    refused(folder, folder / "a", "tensor 'transformer.h.4.ln_1.weight' does not belong to this model")
    for bad in (float("nan"), float("inf"), float("-inf")):
        broken = tensors[name].clone()
        broken[3, 5] = bad
        with_tensors({name: broken})
        refused(folder, folder / "a", f"tensor '{name}' holds NaN or infinite numbers")
    with_tensors({name: tensors[name].to(torch.int32)})
    refused(folder, folder / "a", "element type I32")
    with_tensors({key: None for key in tensors if ".h.3." in key or ".h.2." in key})
    refused(folder, folder / "a", "12 more of its tensors do not fit")
    with_tensors({})
    whole = weights.read_bytes()
    weights.write_bytes(whole[:len(whole) // 2])
    refused(folder, folder / "a", "is cut short")
    weights.unlink()
    refused(folder, folder / "a", "holds neither model.safetensors nor model.safetensors.index.json")
    weights.write_bytes(whole)
    for change, says in [({"model_type": "bert"}, "model_type 'bert' is not supported"), ({"n_layer": 0}, "layers=0"),
                         ({"activation_function": "relu"}, "'relu' is not supported"), ({"n_embd": 66}, "66"),
                         ({"n_layer": "four"}, "must be a whole number"), ({"kv_routing": "sla(distance=9)"}, "distance must be")]:
        (folder / "a" / "config.json").write_text(json.dumps({**configuration, **change}))
        refused(folder, folder / "a", says)
    (folder / "a" / "config.json").write_text(json.dumps(configuration))
    refused(folder, folder / "nowhere", "no such folder")
    refused(folder, folder, "has no config.json")


def test_partial_shards_write_nothing(folder):
    random_folder(folder / "a")
    run("convert", "--from", folder / "a", "--to", folder / "b", "--max-shard-size", "100KB")
    shards = sorted((folder / "b").glob("model-*.safetensors"))
    last = shards[-1].read_bytes()
    shards[-1].write_bytes(last[:-4])
    refused(folder, folder / "b", [shards[-1].name, "is cut short"])
    shards[-1].unlink()
    refused(folder, folder / "b", shards[-1].name)
    shutil.copy(shards[0], shards[-1])
    refused(folder, folder / "b", [shards[-1].name, "holds no tensor"])


def test_tokenizers_and_options_that_do_not_fit(folder):
    random_folder(folder / "a")
    shutil.copy(__file__, folder / "t.txt")
    run("tokenize", folder / "t.txt", "--train-bpe", 320, "--out", folder / "big" / "t.bin")
    run("tokenize", folder / "t.txt", "--train-bpe", 300, "--out", folder / "fits" / "t.bin")
    for file in (folder / "big" / "tokenizer").iterdir():
        shutil.copy(file, folder / "a")
    refused(folder, folder / "a", "its tokenizer has 320 tokens, its model a vocabulary of 311")
    for file in (folder / "fits" / "tokenizer").iterdir():
        shutil.copy(file, folder / "a")
    fails("convert", "--from", folder / "a", "--to", folder / "big", says="exists already")
    (folder / "wide.bin").write_bytes(b"\xff\x01" * 500)  # id 511
    refused(folder, folder / "a", "wide.bin", "--data", folder / "wide.bin")
    refused(folder, folder / "a", "positions for 32 tokens", "--data", folder / "fits" / "t.bin", "--data-context", 64)
    refused(folder, folder / "a", "belongs to --routing", "--lend", "mean")
    refused(folder, folder / "a", "belongs to --context", "--positions", "copy")
    refused(folder, folder / "a", "belong to --data", "--max-tokens", 100)
    refused(folder, folder / "a", "copy or interpolate", "--context", 64, "--positions", "linear")
    refused(folder, folder / "a", "fp32 or bf16", "--weights", "int8")
    refused(folder, folder / "a", "max-shard-size", "--max-shard-size", "five")
    run("convert", "--from", folder / "a", "--to", folder / "x", "--routing", ROUTING, "--format", "hf")
    names = {path.name for path in (folder / "x").iterdir()}
    assert {"config.json", "model.safetensors", "modeling_skipattn.py", "configuration_skipattn.py", "vocab.json"} <= names, names


if __name__ == "__main__":
    harness.main(globals())
