"""convert --format hf: a routed model opened by Transformers with trust_remote_code gives our logits, with nothing of ours.

Run with the Transformers of this Python, and with an older one when SKIPATTN_OLD_TRANSFORMERS names a Python that has it.
"""
import json
import os
import pathlib
import subprocess
import sys

import harness
from harness import run, run_json

harness.require("torch", "transformers", "safetensors", "numpy")
import numpy
import torch
import transformers
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from parity_transformers import ROUTINGS, random_gpt2

OLDEST = "4.50"  # what docs/commands/convert.md names
LIMIT = 1e-4
MORE_ROUTINGS = [
    "yoco(split=1/2, window=8)",
    "sla(distance=1, heads=4, values=own, window=5)",
    """{"layers": 4, "kv_heads": 4, "routes": [{"layer": 1, "head": [0, 1, 2, 3], "key": 0, "value": 0},
        {"layer": 2, "head": 1, "key": "none", "value": "none"}]}""",
]


def our_logits(model, folder, context, windows, vocabulary):
    tokens = harness.write_tokens(folder / "tokens.bin", windows * context + 1, vocabulary)
    run("eval", "--model", model, "--data", folder / "tokens.bin", "--context", context, "--dtype", "fp32",
        "--dump-logits", folder / "logits.safetensors", "--quiet")
    ids = torch.from_numpy(tokens[:windows * context].astype(numpy.int64)).view(windows, context)
    return ids, torch.from_numpy(load_file(folder / "logits.safetensors")["logits"])


def open_exported(path):
    model, info = AutoModelForCausalLM.from_pretrained(path, trust_remote_code=True, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    return model.eval()


def difference(a, b):
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a - b).abs().max().item()


def cached_logits(model, ids, steps, mask=None):
    """The same tokens in pieces that end at `steps`, each seeing the others through the cache."""
    cache, pieces, begin = None, [], 0
    for end in steps:
        result = model(ids[:, begin:end], past_key_values=cache, use_cache=True,
                       attention_mask=None if mask is None else mask[:, :end])
        pieces.append(result.logits)
        cache, begin = result.past_key_values, end
    return torch.cat(pieces, dim=1), cache


def cache_elements(cache):
    if hasattr(cache, "layers"):
        return sum(x.numel() for layer in cache.layers if layer.is_initialized for x in (layer.keys, layer.values))
    return sum(x.numel() for x in (*cache.key_cache, *cache.value_cache))


def check_logits(model, ids, expected):
    with torch.no_grad():
        found = [difference(model(ids).logits, expected)]
        length = ids.shape[1]
        logits, cache = cached_logits(model, ids, [7, 8, 9, length - 2, length - 1, length])
        found.append(difference(logits, expected))
        padding = 5
        padded = torch.cat([torch.zeros(len(ids), padding, dtype=torch.long), ids], dim=1)
        padded[1:2, :padding + 3] = 0  # the second row has three tokens less
        mask = torch.ones_like(padded)
        mask[:, :padding] = 0
        shifted = ids.clone()
        shifted[1, :-3] = ids[1, 3:]
        mask_ragged = mask.clone()
        ragged = padded.clone()
        ragged[1] = torch.cat([torch.zeros(padding + 3, dtype=torch.long), ids[1, :-3]])
        mask_ragged[1, :padding + 3] = 0
        for logits in (model(ragged, attention_mask=mask_ragged).logits,
                       cached_logits(model, ragged, [padding + 6, padding + 7, length, length + padding], mask_ragged)[0]):
            found.append(difference(logits[0, padding:], expected[0]))
            found.append(difference(logits[1, padding + 3:], expected[1, :-3]))
    assert max(found) <= LIMIT, found
    return max(found), cache


def check_generation(model, ids):
    """Greedy generation, alone and in a left-padded batch, equals taking the best token of the full pass each time."""
    prompts = [ids[0, :9], ids[1, :5]]
    expected = []
    with torch.no_grad():
        for prompt in prompts:
            for _ in range(6):
                prompt = torch.cat([prompt, model(prompt[None]).logits[:, -1].argmax(-1)])
            expected.append(prompt[-6:])
        padded = torch.zeros(2, 9, dtype=torch.long)
        mask = torch.zeros_like(padded)
        for row, prompt in enumerate(prompts):
            padded[row, 9 - len(prompt):] = prompt
            mask[row, 9 - len(prompt):] = 1
        settings = dict(max_new_tokens=6, do_sample=False, pad_token_id=0, eos_token_id=None)
        together = model.generate(padded, attention_mask=mask, **settings)
        alone = model.generate(prompts[0][None], **settings)
        beams = model.generate(prompts[0][None], num_beams=3, **settings)
    assert torch.equal(together[:, -6:], torch.stack(expected)), (together, expected)
    assert torch.equal(alone[0, -6:], expected[0]) and beams.shape == (1, 15)


def check_training(model, ids):
    """The loss is the mean over the next tokens, and its gradient reaches every parameter."""
    model.zero_grad()
    result = model(ids, labels=ids)
    expected = torch.nn.functional.cross_entropy(result.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert abs(result.loss.item() - expected.item()) < 1e-5, (result.loss, expected)
    result.loss.backward()
    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert not without, without


def check_refusals(model, ids):
    for settings, says in [({"output_attentions": True}, "never written down"),
                           ({"attention_mask": torch.ones(2, 1, 40, 40)}, "must be [batch, tokens so far]"),
                           ({"past_key_values": [(ids, ids)]}, "must be a DynamicCache")]:
        try:
            model(ids, **settings)
        except ValueError as error:
            assert says in str(error), error
        else:
            raise AssertionError(f"{settings} was taken")


def check_folder(path, folder, routing, vocabulary):
    """All of the above for one exported folder; also what was saved by Transformers is ours again."""
    ids, expected = our_logits(path, folder, 40, 2, vocabulary)
    model = open_exported(path)
    worst, cache = check_logits(model, ids, expected)
    check_generation(model, ids)
    check_training(model, ids)
    check_refusals(model, ids)
    plan = run_json("plan", "--model", path)
    live = plan["live_key_heads"] + plan["live_value_heads"]
    assert cache_elements(cache) == 2 * 40 * live * plan["head_width"], "the cache holds dead heads"
    assert sum(p.numel() for p in model.parameters()) == plan["parameters"]
    model.save_pretrained(folder / "again")
    assert torch.equal(our_logits(folder / "again", folder, 40, 2, vocabulary)[1], expected)
    assert not hasattr(model.config, "sliding_window"), "Transformers would cut the cache to it"
    before, after = (json.loads((place / "config.json").read_text()) for place in (path, folder / "again"))
    assert type(model.config).model_type == before["model_type"], "Transformers would warn of another kind of model"
    changed = [key for key in before if key not in ("torch_dtype", "use_cache", "bos_token_id", "eos_token_id")
               and after.get(key) != before[key]]
    assert not changed, [(key, before[key], after.get(key)) for key in changed]
    print(f"         {routing[:60]}: {worst:.1e}, {live} of {2 * plan['layers'] * plan['kv_heads']} heads in the cache")


def check_all(folder):
    """Every exported folder below `folder`: {"routing", "vocabulary"} of each stand in its export.json."""
    for description in sorted(folder.glob("*/export.json")):
        place = folder / ("work-" + description.parent.name)
        place.mkdir(exist_ok=True)
        known = json.loads(description.read_text())
        check_folder(description.parent, place, known["routing"], known["vocabulary"])


def export(source, folder, routings, vocabulary):
    for number, routing in enumerate(routings):
        target = folder / f"{source.name}-{number}"
        run("convert", "--from", source, "--to", target, "--routing", routing, "--format", "hf", "--quiet")
        (target / "export.json").write_text(json.dumps({"routing": routing, "vocabulary": vocabulary}))


LLAMA_ROUTINGS = {
    "llama": ["sla(distance=2, heads=3)", "skipv1", ROUTINGS[-1]],
    "llama with biases": ["cla(group=2)"],
    "mistral": ["sla(distance=2, heads=3)", "yoco(split=1/2, window=8)"],
    "qwen2": ["sla(distance=3, heads=2, keys=own)"],
    "qwen3": ["sla(distance=1, heads=3, chain=resolved)", "cla(group=2)"],
    "qwen3 with windows": ["sla(distance=1, heads=4)"],
}


def export_everything(folder):
    from parity_llama import random_model  # here: an older Transformers, which only checks, may lack some of its classes
    for name, routings in LLAMA_ROUTINGS.items():
        random_model(name, folder / name.replace(" ", "-"))
        export(folder / name.replace(" ", "-"), folder, routings, 311)
    random_gpt2(folder / "gpt2")
    export(folder / "gpt2", folder, [ROUTINGS[i] for i in (0, 2, 3, 6)] + MORE_ROUTINGS, 311)
    random_gpt2(folder / "gpt2-untied", tie_word_embeddings=False, scale_attn_by_inverse_layer_idx=True,
                activation_function="gelu", n_inner=100)
    export(folder / "gpt2-untied", folder, ["sla(distance=2, heads=3)"], 311)
    random_model("qwen3", folder / "again")  # saved once more as ours: the switches of a family come back
    run("convert", "--from", folder / "again", "--to", folder / "ours", "--routing", "skipv1", "--quiet")
    export(folder / "ours", folder, ["skipv1"], 311)


def test_far_positions_are_ours(folder):
    """Angles of thousands of radians: a float's digits would show."""
    from parity_llama import random_model
    random_model("llama", folder / "hf")
    run("convert", "--from", folder / "hf", "--to", folder / "long", "--context", 3000, "--positions", "linear", check=2)
    run("convert", "--from", folder / "hf", "--to", folder / "long", "--context", 3000, "--positions", "base", "--routing",
        "sla(distance=2, heads=3)", "--format", "hf")
    ids, expected = our_logits(folder / "long", folder, 3000, 1, 311)
    with torch.no_grad():
        found = difference(open_exported(folder / "long")(ids).logits, expected)
    assert found <= LIMIT, found


def test_longer_rotary_contexts_are_transformers(folder):
    """What --context writes into config.json means the same to Transformers' own classes."""
    from parity_llama import random_model
    for name, how in (("llama", "base"), ("llama with biases", "linear"), ("qwen3", "linear"), ("mistral", "base")):
        random_model(name, folder / name)
        longer = folder / f"{name} {how}"
        run("convert", "--from", folder / name, "--to", longer, "--context", 288, "--positions", how, "--format", "hf")
        ids, expected = our_logits(longer, folder, 288, 2, 311)
        with torch.no_grad():
            found = difference(AutoModelForCausalLM.from_pretrained(longer).eval()(ids).logits, expected)
        assert found <= LIMIT, (name, how, found)
    harness.fails("convert", "--from", folder / "llama", "--to", folder / "x", "--context", 288, "--positions", "linear",
                  says="Llama 3's rule already")


def test_routed_exports_give_our_logits(folder):
    export_everything(folder)
    print(f"         Transformers {transformers.__version__}")
    check_all(folder)


def test_routed_exports_in_an_older_transformers(folder):
    python = os.environ.get("SKIPATTN_OLD_TRANSFORMERS")
    if not python:
        print(f"         (SKIPATTN_OLD_TRANSFORMERS names no Python with Transformers {OLDEST}: left out)")
        return
    export_everything(folder)
    subprocess.run([python, __file__, "--check", folder], check=True, timeout=900)


def test_plain_folders_in_an_older_transformers(folder):
    """Checkpoints that it saved, and what we export of them."""
    python = os.environ.get("SKIPATTN_OLD_TRANSFORMERS")
    for script in ("parity_transformers.py", "parity_llama.py") if python else ():
        subprocess.run([python, pathlib.Path(__file__).with_name(script)], check=True, timeout=900)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        print(f"         Transformers {transformers.__version__}")
        check_all(pathlib.Path(sys.argv[2]))
    else:
        harness.main(globals())
