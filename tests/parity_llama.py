"""Llama, Mistral, Qwen2 and Qwen3 folders: Transformers' logits and ours within 1e-4 in fp32, there and back again, with
routings, and ten training steps beside plain PyTorch."""
import json
import shutil

import harness
from harness import run, run_json

harness.require("torch", "transformers", "safetensors", "numpy")
import torch
from safetensors.torch import load_file
import transformers
from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                          Qwen2ForCausalLM)

from parity_training import assert_close as assert_losses_close
from parity_training import BATCH, CONTEXT, our_losses, plain_losses
from parity_transformers import assert_close, our_logits
from plain_llama import PlainLlama

SIZES = dict(num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4, hidden_size=64, intermediate_size=96,
             max_position_embeddings=96, vocab_size=311, rms_norm_eps=1e-5)
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
# What Transformers calls the positions' numbers depends on its version: older ones take the scaling and its base apart.
ROPE = (lambda rope: {"rope_parameters": rope}) if hasattr(LlamaConfig(), "rope_parameters") else (
    lambda rope: {"rope_theta": rope["rope_theta"], "rope_scaling": None if rope["rope_type"] == "default" else
                  {k: v for k, v in rope.items() if k != "rope_theta"}})
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(**ROPE(LLAMA3))),
    "llama with biases": (LlamaForCausalLM, LlamaConfig,
                          dict(attention_bias=True, mlp_bias=True, head_dim=12, tie_word_embeddings=True,
                               **ROPE({"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.0}))),
    "mistral": (MistralForCausalLM, MistralConfig, dict(sliding_window=11, head_dim=16)),
    "qwen2 without windows": (Qwen2ForCausalLM, Qwen2Config, dict(tie_word_embeddings=True)),
}
if hasattr(Qwen2Config(), "layer_types"):  # before, Transformers itself gave every layer the window or none
    FAMILIES["qwen2"] = (Qwen2ForCausalLM, Qwen2Config,
                         dict(use_sliding_window=True, sliding_window=9, max_window_layers=2))
if hasattr(transformers, "Qwen3ForCausalLM"):  # from 4.51 on
    from transformers import Qwen3Config, Qwen3ForCausalLM
    FAMILIES |= {
        "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(head_dim=24, **ROPE({"rope_type": "default", "rope_theta": 300.0}))),
        "qwen3 with windows": (Qwen3ForCausalLM, Qwen3Config,
                               dict(head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=7,
                                    layer_types=["sliding_attention", "full_attention"] * 2)),
    }


def known(*names):
    return [name for name in names if name in FAMILIES]


ROUTINGS = ["sla(distance=2, heads=3)", "sla(distance=3, heads=2, keys=own)", "skipv1", "cla(group=2)",
            """{"layers": 4, "kv_heads": 4, "routes": [{"layer": 3, "head": 1, "key": ["own", 0], "value": ["own", 2]},
                {"layer": 3, "head": 3, "key": {"layer": 0, "head": 1}, "value": {"layer": 2, "head": 0}}]}"""]


def random_model(name, folder, **saving):
    model_class, config_class, changes = FAMILIES[name]
    torch.manual_seed(7)
    model = model_class(config_class(**{**SIZES, **changes})).eval()
    with torch.no_grad():  # away from the initial zeros and ones, and attention away from uniform
        for parameter in model.parameters():
            parameter.add_(0.08 * torch.randn_like(parameter))
    model.save_pretrained(folder, **saving)
    return model


def tensors_of(folder):
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def assert_same_tensors(one, other):
    one, other = tensors_of(one), tensors_of(other)
    assert one.keys() == other.keys(), one.keys() ^ other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def test_logits_of_every_family(folder):
    for number, name in enumerate(FAMILIES):
        model = random_model(name, folder / str(number))
        ours, batch, _, _ = our_logits(folder / str(number), folder)
        with torch.no_grad():
            print(f"         {name}")
            assert_close(ours, model(batch).logits)
            assert_close(ours, PlainLlama(model, [[{"key": l, "value": l}] * 4 for l in range(4)])(batch))


def test_shards_and_half_precision(folder):
    random_model("llama", folder / "hf")
    random_model("llama", folder / "sharded", max_shard_size="100KB")
    assert (folder / "sharded" / "model.safetensors.index.json").exists()
    expected = our_logits(folder / "hf", folder)[0]
    assert torch.equal(our_logits(folder / "sharded", folder)[0], expected)
    AutoModelForCausalLM.from_pretrained(folder / "hf").to(torch.bfloat16).save_pretrained(folder / "bf16")
    assert_close(our_logits(folder / "bf16", folder)[0], expected, 0.2)


def test_there_and_back_again(folder):
    for name in FAMILIES:
        for place in ("hf", "ours", "theirs", "again"):
            shutil.rmtree(folder / place, ignore_errors=True)
        model = random_model(name, folder / "hf")
        run("convert", "--from", folder / "hf", "--to", folder / "ours", "--format", "hf")
        assert_same_tensors(folder / "hf", folder / "ours")
        opened = AutoModelForCausalLM.from_pretrained(folder / "ours").eval()
        assert type(opened) is type(model)
        tokens = torch.arange(90).view(1, 90)
        with torch.no_grad():
            assert torch.equal(opened(tokens).logits, model(tokens).logits), name
        opened.save_pretrained(folder / "theirs")
        run("convert", "--from", folder / "theirs", "--to", folder / "again", "--format", "hf")
        assert_same_tensors(folder / "again", folder / "ours")
        configs = [json.loads((folder / place / "config.json").read_text()) for place in ("ours", "again")]
        assert configs[0] == configs[1], name


def test_routed_logits_equal_a_plain_model_of_the_same_table(folder):
    for name in known("llama", "mistral", "qwen3 with windows"):
        model = random_model(name, folder / name)
        for routing in ROUTINGS:
            routes = run_json("plan", "--model", folder / name, "--routing", routing)["routes"]
            ours, batch, _, _ = our_logits(folder / name, folder, routing=routing)
            with torch.no_grad():
                assert_close(ours, PlainLlama(model, routes)(batch))


def test_a_routed_folder_is_read_back(folder):
    for name in known("llama", "qwen3"):
        random_model(name, folder / name)
        routing = "cla(group=2)"
        plan = run_json("plan", "--model", folder / name, "--routing", routing)
        result = run_json("convert", "--from", folder / name, "--to", folder / f"{name} cla", "--routing", routing)
        assert plan["parameters"] == result["parameters"] < plan["parameters_baseline"]
        names = tensors_of(folder / f"{name} cla")
        assert "model.layers.2.self_attn.k_proj.weight" in names
        assert not [n for n in names if n.startswith("model.layers.3.self_attn.k_") or ".3.self_attn.v_" in n], names
        assert sum(tensor.numel() for tensor in names.values()) == plan["parameters"]
        expected = our_logits(folder / name, folder, routing=routing)[0]
        assert torch.equal(our_logits(folder / f"{name} cla", folder)[0], expected)


def test_generation_is_transformers(folder):
    for name in known("llama", "mistral", "qwen3"):
        model = random_model(name, folder / name)
        prompt = torch.randint(0, 311, (1, 20))
        with torch.no_grad():
            theirs = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=30, do_sample=False,
                                    pad_token_id=0, eos_token_id=None)[0, 20:].tolist()
        ours = run_json("generate", "--model", folder / name, "--prompt-ids", ",".join(map(str, prompt[0].tolist())),
                        "--max-new-tokens", 30, "--temperature", 0, "--dtype", "fp32", "--cache-dtype", "fp32")
        assert ours["token_ids"] == theirs, (ours["token_ids"], theirs)


def test_ten_training_steps(folder):
    tokens = harness.write_tokens(folder / "train.bin", 2 * BATCH * CONTEXT + 1, 311)
    for name in known("llama", "llama with biases", "qwen3 with windows"):
        shutil.rmtree(folder / "hf", ignore_errors=True)
        model = random_model(name, folder / "hf")
        for number, routing in enumerate(["baseline", "sla(distance=2, heads=3)", "cla(group=2)"]):
            routes = run_json("plan", "--model", folder / "hf", "--routing", routing)["routes"]
            theirs = plain_losses(PlainLlama(model, routes), tokens)
            assert theirs[-1] < theirs[0] - 0.1, f"nothing moved, so nothing was compared: {theirs}"
            assert_losses_close(our_losses(folder, f"{name} {number}", routing), theirs)


def test_what_is_not_supported_is_said_in_one_sentence(folder):
    random_model("llama", folder / "hf")
    path = folder / "hf" / "config.json"
    original = json.loads(path.read_text())
    rope = original.get("rope_parameters") or {}
    for changes, says in [
            ({"model_type": "mixtral"}, "model_type 'mixtral' is not supported; supported are gpt2, llama, mistral, qwen2, qwen3"),
            ({"rope_parameters": None, "rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_type 'yarn' is not supported"),
            ({"rope_parameters": {**rope, "rope_type": "dynamic"}}, "supported are default, linear and llama3"),
            ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5 is not supported"),
            ({"hidden_act": "gelu"}, "hidden_act 'gelu' is not supported; supported is silu"),
            ({"num_key_value_heads": 3}, "kv_heads=3: must divide heads=8"),
            ({"num_attention_heads": 7, "head_dim": None}, "width=64: must be a multiple of heads=7"),
            ({"hidden_size": "64"}, '"hidden_size" must be a whole number'),
            ({"num_hidden_layers": 5}, "'model.layers.4.self_attn.q_proj.weight' is missing"),
            ({"tie_word_embeddings": True, "mlp_bias": True}, "'model.layers.0.mlp.gate_proj.bias' is missing")]:
        path.write_text(json.dumps({**original, **changes}))
        harness.fails("convert", "--from", folder / "hf", "--to", folder / "out", says=says)
        assert not (folder / "out").exists()


if __name__ == "__main__":
    harness.main(globals())
