"""Logits of Hugging Face GPT-2 folders: Transformers' and ours within 1e-4 in fp32, both ways, and with routings."""
import harness
from harness import run, run_json

harness.require("torch", "transformers", "safetensors", "numpy")
import numpy
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from plain_gpt import PlainGpt

ROUTINGS = [
    "sla(distance=2, heads=3)",
    "sla(distance=3, heads=2, keys=own)",
    "sla(distance=1, heads=2, values=own, which=every)",
    "sla(distance=1, heads=3, chain=resolved)",
    "skipv1",
    "cla(group=2)",
    """{"layers": 4, "kv_heads": 4, "routes": [{"layer": 2, "head": [0, 2], "key": 1, "value": 0},
        {"layer": 3, "head": 1, "key": ["own", 0], "value": ["own", 2]},
        {"layer": 3, "head": 3, "key": {"layer": 0, "head": 1}, "value": {"layer": 2, "head": 0}}]}""",
]


def random_gpt2(folder, **changes):
    torch.manual_seed(7)
    config = GPT2Config(n_layer=4, n_head=4, n_embd=64, n_positions=96, vocab_size=311,
                        attn_implementation="eager", **changes)  # "sdpa" of 4.50 forgets scale_attn_by_inverse_layer_idx
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():  # away from the initial zeros and ones, and attention away from uniform
        for parameter in model.parameters():
            parameter.add_(0.08 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def our_logits(model, folder, context=96, routing=None, windows=4):
    tokens = harness.write_tokens(folder / "tokens.bin", windows * context + 1, 311)
    dump = folder / "logits.safetensors"
    extra = ["--routing", routing] if routing else []
    result = run_json("eval", "--model", model, "--data", folder / "tokens.bin", "--context", context, "--dtype", "fp32",
                      "--dump-logits", dump, *extra)
    batch = torch.from_numpy(tokens[:windows * context].astype(numpy.int64)).view(windows, context)
    targets = torch.from_numpy(tokens[1:windows * context + 1].astype(numpy.int64)).view(windows, context)
    return torch.from_numpy(load_file(dump)["logits"]), batch, targets, result


def assert_close(ours, theirs, limit=1e-4):
    difference = (ours - theirs).abs().max().item()
    assert difference <= limit, f"largest difference {difference}"
    print(f"         largest difference {difference:.2e}")


def test_logits_and_loss_of_a_random_gpt2(folder):
    for changes in ({}, {"tie_word_embeddings": False}, {"activation_function": "gelu"},
                    {"scale_attn_by_inverse_layer_idx": True}, {"n_inner": 100}):
        model = random_gpt2(folder / "hf", **changes)
        ours, batch, targets, result = our_logits(folder / "hf", folder)
        with torch.no_grad():
            theirs = model(batch).logits
        assert_close(ours, theirs)
        loss = torch.nn.functional.cross_entropy(theirs.flatten(0, 1), targets.flatten()).item()
        assert abs(result["loss"] - loss) < 1e-5, (result["loss"], loss)
        assert result["tokens"] == batch.numel()


def test_sharded_and_half_precision_folders(folder):
    model = random_gpt2(folder / "hf")
    model.save_pretrained(folder / "sharded", max_shard_size="100KB")
    assert (folder / "sharded" / "model.safetensors.index.json").exists()
    expected = our_logits(folder / "hf", folder)[0]
    assert torch.equal(our_logits(folder / "sharded", folder)[0], expected)
    model.to(torch.bfloat16).save_pretrained(folder / "bf16")
    assert_close(our_logits(folder / "bf16", folder)[0], expected, 0.2)


def test_routed_logits_equal_a_plain_model_of_the_same_table(folder):
    model = random_gpt2(folder / "hf")
    for routing in ROUTINGS:
        plan = run_json("plan", "--model", folder / "hf", "--routing", routing)
        plain = PlainGpt(model.state_dict(), 4, 4, plan["routes"])
        ours, batch, _, _ = our_logits(folder / "hf", folder, routing=routing)
        with torch.no_grad():
            assert_close(ours, plain(batch))


def test_transformers_opens_a_baseline_of_ours(folder):
    model = random_gpt2(folder / "hf")
    result = run_json("convert", "--from", folder / "hf", "--to", folder / "ours", "--format", "hf")
    assert result["dropped_tensors"] == [] and result["routing"] == "baseline"
    ours = AutoModelForCausalLM.from_pretrained(folder / "ours", attn_implementation="eager").eval()
    tokens = torch.arange(90).view(1, 90)
    with torch.no_grad():
        assert torch.equal(ours(tokens).logits, model(tokens).logits)


def test_a_converted_routing_keeps_the_function_and_the_files_shrink(folder):
    random_gpt2(folder / "hf")
    routing = "sla(distance=2, heads=3)"
    result = run_json("convert", "--from", folder / "hf", "--to", folder / "sla", "--routing", routing)
    assert any("key heads 1-3" in line for line in result["dropped_tensors"]), result
    assert (folder / "sla" / "model.safetensors").stat().st_size < (folder / "hf" / "model.safetensors").stat().st_size
    assert torch.equal(our_logits(folder / "sla", folder)[0], our_logits(folder / "hf", folder, routing=routing)[0])
    run("convert", "--from", folder / "sla", "--to", folder / "again")
    assert torch.equal(our_logits(folder / "again", folder)[0], our_logits(folder / "sla", folder)[0])


if __name__ == "__main__":
    harness.main(globals())
