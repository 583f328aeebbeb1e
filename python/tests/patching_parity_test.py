"""Patched models of Transformers beside the program: logits, gradients, training, checkpoints both ways, lending."""
import json
import os
import re

import harness
from harness import run, run_json

harness.require("torch", "transformers", "safetensors", "numpy")
import numpy
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import patching_models as models
import skipattn

os.environ["OMP_NUM_THREADS"] = "1"  # the program's, for models this small
LIMIT = 1e-5
CONTEXT = 24
FAMILIES = ("gpt2", "llama", "mistral", "qwen2", "qwen3")  # that the program reads


def token_file(folder, count):
    return torch.from_numpy(harness.write_tokens(folder / "tokens.bin", count, models.VOCABULARY).astype(numpy.int64))


def program_logits(model, folder, *options):
    ids = token_file(folder, 2 * CONTEXT + 1)[:2 * CONTEXT].view(2, CONTEXT)
    run("eval", "--model", model, "--data", folder / "tokens.bin", "--context", CONTEXT, "--dtype", "fp32", "--dump-logits",
        folder / "logits.safetensors", "--quiet", *options)
    return ids, load_file(folder / "logits.safetensors")["logits"]


def logits_of(model, ids):
    with torch.no_grad():
        return model(ids).logits


def close(found, expected, what, limit=LIMIT):
    difference = (found - expected).abs().max().item()
    assert difference <= limit * max(1.0, expected.abs().max().item()), (what, difference)


def test_logits_of_what_was_saved_are_the_programs(folder):
    for name in FAMILIES:
        model = models.model_of(name)
        for number, routing in enumerate(models.ROUTINGS if name in ("gpt2", "mistral") else models.ROUTINGS[:1]):
            patched = models.patched(model, routing)
            path = folder / f"{name}{number}"
            patched.save_pretrained(path)
            ids, expected = program_logits(path, folder)
            close(logits_of(patched, ids), expected, (name, routing))
            close(logits_of(skipattn.from_pretrained(path), ids), expected, (name, routing, "opened again"))


def test_what_the_program_converted_opens_with_the_same_logits(folder):
    for name in ("gpt2", "qwen3"):
        models.model_of(name).save_pretrained(folder / name)
        for lend, ours in (("own", "keep"), ("mean", "average")):
            for number, routing in enumerate(models.ROUTINGS[1:] if name == "gpt2" else models.ROUTINGS[:1]):
                path = folder / f"{name}-{lend}{number}"
                run_json("convert", "--from", folder / name, "--to", path, "--routing", routing, "--lend", lend)
                ids, expected = program_logits(path, folder)
                opened = skipattn.from_pretrained(path)
                patched = skipattn.patch(AutoModelForCausalLM.from_pretrained(folder / name), routing, lend=ours)
                close(logits_of(opened, ids), expected, (name, routing, lend))
                close(logits_of(patched, ids), expected, (name, routing, lend, "patched here"))
                assert opened.config.kv_routing == patched.config.kv_routing
                for (one, first), (other, second) in zip(opened.named_parameters(), patched.named_parameters(), strict=True):
                    assert one == other and torch.allclose(first, second, rtol=0, atol=1e-7), one


def test_exported_folders_open_in_both_ways(folder):
    models.model_of("llama").save_pretrained(folder / "llama")
    run_json("convert", "--from", folder / "llama", "--to", folder / "hf", "--routing", models.ROUTINGS[0], "--format", "hf")
    ids, expected = program_logits(folder / "hf", folder)
    ours = skipattn.from_pretrained(folder / "hf")
    theirs = AutoModelForCausalLM.from_pretrained(folder / "hf", trust_remote_code=True)
    assert type(ours).__name__ == "RoutedLlamaForCausalLM"
    close(logits_of(ours, ids), expected, "ours")
    close(logits_of(theirs, ids), expected, "theirs")
    ours.save_pretrained(folder / "saved")
    close(logits_of(AutoModelForCausalLM.from_pretrained(folder / "saved"), ids), expected, "saved, by the Auto class")


def model_to_train(name):
    """Without dropout, and without a padding token, to whose row torch gives no gradient."""
    return models.model_of(name, attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0, pad_token_id=None)


def program_run(folder, path, routing, **training):
    """The folder of a run of the program from the model in `path`, and the tokens [49] it trained on at every step."""
    ids = token_file(folder, 2 * CONTEXT + 1)
    config, out = folder / "run.toml", folder / f"run_{path.name}"
    config.write_text(harness.toml(
        model={"routing": routing}, data={"train": str(folder / "tokens.bin"), "context": CONTEXT, "order": "sequential"},
        training={"batch_size": 2, "schedule": "constant", "warmup_steps": 0, "dropout": 0.0, **training}))
    run_json("train", "--config", config, "--init", path, "--out", out, "--dtype", "fp32")
    return out, ids


def losses_of(model, ids, steps):
    """AdamW as the program has it, on the same two sequences at every step."""
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1},
                                   {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    model.train()
    for _ in range(steps):
        logits = model(ids[:-1].view(2, CONTEXT)).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:])
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        losses.append(loss.item())
    return losses, norms


def test_training_steps_are_the_programs(folder):
    """Losses and gradient norms of five steps: each loss after the first is one of weights that gradients made."""
    for name in ("gpt2", "llama"):
        model = model_to_train(name)
        for number, routing in enumerate(models.ROUTINGS[1:] if name == "gpt2" else models.ROUTINGS[:1]):
            path = folder / f"{name}{number}"
            patched = models.patched(model, routing)
            patched.save_pretrained(path)
            out, ids = program_run(folder, path, patched.config.kv_routing, steps=5, learning_rate=1e-3, weight_decay=0.1,
                                   grad_clip=1.0)
            rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
            losses, norms = losses_of(patched, ids, 5)
            assert losses[-1] < losses[0] - 0.01, losses
            for row, loss, norm in zip(rows, losses, norms, strict=True):
                assert abs(row["loss"] - loss) <= 1e-4 and abs(row["grad_norm"] - norm) <= 1e-4 * norm, (name, routing, rows)


def program_gradients(folder, path, routing):
    """The program's gradient of every parameter, and the tokens: AdamW's first moments after one step without clipping are
    a tenth of it."""
    out, ids = program_run(folder, path, routing, steps=1, grad_clip=0.0, beta1=0.9)
    moments = load_file(out / "latest" / "trainer.safetensors")
    return {name.removesuffix(".first_moment"): value / (1 - 0.9) for name, value in moments.items()
            if name.endswith(".first_moment")}, ids


def in_the_programs_order(model):
    """The gradients of a model as the program holds them: [out, in], projections of one input in one matrix."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name in [name for name in gradients if ".q_proj." in name or ".gate_proj." in name]:
        first, others, fused = (("q_proj", ("k_proj", "v_proj"), "qkv_proj") if ".q_proj." in name
                                else ("gate_proj", ("up_proj",), "gate_up_proj"))
        parts = [gradients.pop(name.replace(first, part), None) for part in (first, *others)]
        gradients[name.replace(first, fused)] = torch.cat([part for part in parts if part is not None])
    return {name: value.t() if re.search(r"\.c_(attn|proj|fc)\.weight", name) else value
            for name, value in gradients.items()}


def test_gradients_are_the_programs(folder):
    for name in ("gpt2", "llama"):
        model = model_to_train(name)
        for number, routing in enumerate(models.ROUTINGS):
            path = folder / f"{name}{number}"
            patched = models.patched(model, routing)
            patched.save_pretrained(path)
            expected, ids = program_gradients(folder, path, patched.config.kv_routing)
            logits = patched.train()(ids[:-1].view(2, CONTEXT)).logits
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[1:]).backward()
            found = in_the_programs_order(patched)
            assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
            for key, gradient in found.items():
                close(gradient, expected[key], (name, routing, key))


def test_gradients_are_those_of_the_plain_table(folder):
    """Every parameter's gradient, in float64; dead rows have none in the plain model."""
    ids, mask = models.left_padded()
    labels = ids.masked_fill(mask == 0, -100)
    labels[1, 4] = -100  # what padding predicts is anybody's guess
    for name in models.CONFIGS:
        model = models.model_of(name).double()
        for routing in models.ROUTINGS[:1] + models.ROUTINGS[3:]:
            patched, plain = models.patched(model, routing), models.plain(model, routing)
            losses = []
            for one in (patched, plain):
                one.zero_grad()
                logits = one(ids, attention_mask=mask, use_cache=False).logits
                loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
                loss.backward()
                losses.append(loss.item())
            assert abs(losses[0] - losses[1]) < 1e-7, (name, losses)
            expected = dict(plain.named_parameters())
            for key, parameter in patched.named_parameters():
                wanted = live_part(key, expected[key].grad, patched.base_model.plan)
                # The norms of all but GPT-2 are float32 whatever the model is.
                close(parameter.grad, wanted, (name, routing, key), 1e-9 if name.startswith("gpt2") else 1e-6)


def live_part(key, gradient, plan):
    """The rows (columns in GPT-2's files) of a full gradient that belong to live heads; the others must be zero."""
    found = re.search(r"\.(\d+)\.\w+\.(c_attn|k_proj|v_proj)\.", key)
    if found is None:
        return gradient
    live, kv_heads = plan.layers[int(found[1])], models.KV_HEADS
    heads = {"k_proj": live.live_keys, "v_proj": live.live_values,
             "c_attn": [*range(kv_heads), *(kv_heads + h for h in live.live_keys), *(2 * kv_heads + h for h in live.live_values)]}
    columns = torch.tensor([head * 16 + i for head in heads[found[2]] for i in range(16)])
    dimension = gradient.dim() - 1 if found[2] == "c_attn" else 0
    assert gradient.index_fill(dimension, columns, 0.0).abs().max() == 0, f"a dead head of {key} has a gradient"
    return gradient.index_select(dimension, columns)


if __name__ == "__main__":
    harness.main(globals())
