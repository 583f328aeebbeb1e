"""Training patched models: checkpointing, the fused loss, dropout, Trainer, saving, what a conversion costs."""
import contextlib
import copy
import functools
import importlib.util
import io
import pickle

import harness

harness.require("torch", "transformers")
import torch
from transformers import Trainer, TrainingArguments

import patching_models as models
import skipattn

SLA = "sla(distance=2, heads=1)"


def gradients(model, ids, **options):
    """Loss and every parameter's gradient of one training pass."""
    torch.manual_seed(11)
    model.zero_grad()
    result = model.train()(ids, labels=ids, **options)
    result.loss.backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())
    return result.loss.item(), [p.grad.clone() for p in model.parameters()]


def same(found, expected, what, limit=1e-6):
    assert abs(found[0] - expected[0]) <= limit * max(1.0, abs(expected[0])), (what, found[0], expected[0])
    for a, b in zip(found[1], expected[1], strict=True):
        assert (a - b).abs().max() <= limit * b.abs().max().clamp(min=1.0), what


def test_checkpointing_gives_the_same_gradients(folder):
    ids, _ = models.left_padded((0, 0))
    for name in ("gpt2", "qwen3", "gemma3"):
        model = models.patched(models.model_of(name, attn_pdrop=0.1, attention_dropout=0.1), SLA)
        expected = gradients(model, ids, use_cache=False)
        same(gradients(model, ids, use_cache=True), expected, (name, "with a cache"))
        for reentrant in (True, False):
            for every in (1, 2):
                checkpoint = functools.partial(torch.utils.checkpoint.checkpoint, use_reentrant=reentrant)
                model._set_gradient_checkpointing(True, checkpoint, every)
                for use_cache in (True, False):
                    same(gradients(model, ids, use_cache=use_cache), expected, (name, reentrant, every, use_cache))
                model._set_gradient_checkpointing(enable=False)


def test_checkpointing_does_not_touch_generation(folder):
    ids, mask = models.left_padded((0, 4), length=12)
    model = models.patched(models.model_of("llama"), SLA)
    settings = dict(attention_mask=mask, max_new_tokens=5, do_sample=False)
    expected = model.generate(ids, **settings)
    model._set_gradient_checkpointing(True, functools.partial(torch.utils.checkpoint.checkpoint, use_reentrant=False))
    assert torch.equal(model.train().generate(ids, **settings), expected)
    cache = model.eval()(ids, use_cache=True).past_key_values
    models.fails(lambda: model.train()(ids, past_key_values=cache), ValueError, "cannot go on from a cache")


def test_the_fused_loss_is_the_loss(folder):
    ids, mask = models.left_padded()
    labels = ids.masked_fill(mask == 0, -100)
    for name in ("gpt2", "llama"):
        plain = models.patched(models.model_of(name), SLA).double()
        fused = copy.deepcopy(plain)
        fused.fused_loss = True
        for m in (plain, fused):
            m.train()
            m.config.use_cache = False
            for module in m.modules():
                module.p = 0.0 if isinstance(module, torch.nn.Dropout) else getattr(module, "p", None)
        for extra in ({}, {"num_items_in_batch": torch.tensor(17)}, {"shift_labels": labels.flip(1)}):
            results = []
            for m in (plain, fused):
                m.zero_grad()
                result = m(ids, attention_mask=mask, labels=labels, **extra)
                (3 * result.loss).backward()
                results.append((result.loss.item(), [p.grad.clone() for p in m.parameters()]))
            assert result.logits is None and m(ids).logits is not None
            same(results[1], results[0], (name, extra), 1e-5)  # Transformers' loss is fp32 in any case
        assert fused.eval()(ids, labels=labels).logits is not None


def test_the_fused_loss_takes_chunks_dtypes_and_autocast(folder):
    torch.manual_seed(0)
    hidden, weight = torch.randn(70, 16), torch.randn(1500, 16) / 4
    targets = torch.randint(0, 1500, (70,))
    targets[::7] = -100
    exact = torch.nn.functional.cross_entropy(hidden.double() @ weight.double().T, targets)
    chunk = skipattn.cross_entropy._CHUNK_LOGITS
    try:
        skipattn.cross_entropy._CHUNK_LOGITS = 30_000  # several chunks, the last one shorter
        for dtype, limit in ((torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.05)):
            leaves = [x.detach().to(dtype, copy=True).requires_grad_() for x in (hidden, weight)]
            loss = skipattn.linear_cross_entropy(*leaves, targets)
            assert abs(loss.item() - exact.item()) < limit and loss.dtype == (dtype if limit < 1e-9 else torch.float32)
            loss.backward()
            wide = [x.detach().double().requires_grad_() for x in leaves]
            torch.nn.functional.cross_entropy(wide[0] @ wide[1].T, targets).backward()
            for leaf, want in zip(leaves, wide):
                assert leaf.grad.dtype == dtype and (leaf.grad - want.grad).abs().max() <= limit * want.grad.abs().max()
        with torch.autocast("cpu", torch.bfloat16):
            assert abs(skipattn.linear_cross_entropy(hidden, weight, targets).item() - exact.item()) < 0.05
    finally:
        skipattn.cross_entropy._CHUNK_LOGITS = chunk
    nothing = skipattn.linear_cross_entropy(hidden, weight, torch.full_like(targets, -100))
    assert nothing.item() == 0.0
    for arguments, says in (((hidden, weight, targets[:5]), "targets must be [70]"), ((hidden, weight.T, targets), "weight must be"),
                            ((hidden, weight, targets + 1500), "targets must be below 1500")):
        models.fails(lambda: skipattn.linear_cross_entropy(*arguments), ValueError, says)


def test_attention_dropout_is_drawn_in_training_only(folder):
    ids, _ = models.left_padded((0,))
    for name, key in (("gpt2", "attn_pdrop"), ("gemma2", "attention_dropout")):
        model = models.patched(models.model_of(name, **{key: 0.3}), SLA).train()
        first, second = (model(ids).logits for _ in range(2))
        assert not torch.equal(first, second), name
        torch.manual_seed(1)
        first = model(ids).logits
        torch.manual_seed(1)
        assert torch.equal(first, model(ids).logits), name
        assert torch.equal(model.eval()(ids).logits, model(ids).logits)


class Sentences(torch.utils.data.Dataset):
    def __len__(self):
        return 16

    def __getitem__(self, index):
        ids = (torch.arange(20) * (index % 4 + 1) + 3) % models.VOCABULARY
        return {"input_ids": ids, "labels": ids, "attention_mask": torch.ones_like(ids)}


def test_trainer_trains_saves_and_goes_on(folder):
    if importlib.util.find_spec("accelerate") is None:
        print("         skipped: python package accelerate, which Trainer asks for, is not installed")
        return

    def train(model, steps, resume=None):
        arguments = TrainingArguments(output_dir=str(folder / "out"), max_steps=steps, per_device_train_batch_size=8,
                                      learning_rate=3e-3, save_steps=4, logging_steps=1, report_to=[], use_cpu=True, seed=1,
                                      disable_tqdm=True, gradient_checkpointing=True, lr_scheduler_type="constant")
        trainer = Trainer(model=model, args=arguments, train_dataset=Sentences(), eval_dataset=Sentences())
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train(resume_from_checkpoint=resume)
        return trainer

    trainer = train(models.patched(models.model_of("qwen2"), SLA, fused_loss=True), 6)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert len(losses) == 6 and losses[-1] < 0.8 * losses[0], losses
    assert trainer.evaluate()["eval_loss"] < losses[0]
    opened = skipattn.from_pretrained(folder / "out" / "checkpoint-4", fused_loss=True)
    assert opened.fused_loss
    resumed = train(opened, 6, str(folder / "out" / "checkpoint-4"))
    for a, b in zip(resumed.model.parameters(), trainer.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_saving_copying_and_pickling(folder):
    ids, _ = models.left_padded((0,))
    for name in models.CONFIGS:
        model = models.model_of(name)
        patched = models.patched(model, models.ROUTINGS[3])
        with torch.no_grad():
            expected = patched(ids).logits
            patched.save_pretrained(folder / name, max_shard_size="20KB")
            opened = skipattn.from_pretrained(folder / name, dtype=torch.float32)
            assert torch.equal(opened(ids).logits, expected), name
            assert opened.config.kv_routing == patched.config.kv_routing and not opened.training
            assert torch.equal(copy.deepcopy(patched)(ids).logits, expected)
            assert torch.equal(pickle.loads(pickle.dumps(patched))(ids).logits, expected)
        assert type(model.config).__name__ + "." not in repr(patched.config) and not hasattr(model.config, "kv_routing")
    half = skipattn.from_pretrained(folder / "llama", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16 and half(ids).logits.dtype == torch.bfloat16


def test_what_a_conversion_costs_is_printed(folder):
    ids, _ = models.left_padded((0, 0))
    model = models.model_of("llama")
    with torch.no_grad():
        expected = model(ids, labels=ids).loss.item()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        losses = skipattn.conversion_losses(model.train(), SLA, [ids, {"input_ids": ids[:1]}])
    assert model.training and list(losses) == ["unpatched", "keep", "average"] and len(set(losses.values())) == 3
    single = skipattn.conversion_losses(model, SLA, [ids], lends=("average",), quiet=True)
    patched = models.patched(model, SLA, lend="average").eval()
    assert abs(single["unpatched"] - expected) < 1e-5
    assert abs(single["average"] - patched(ids, labels=ids).loss.item()) < 1e-5
    assert [line.split()[0] for line in printed.getvalue().splitlines()] == list(losses)


if __name__ == "__main__":
    harness.main(globals())
