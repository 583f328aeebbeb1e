"""Patched models of every family beside their unpatched selves and the plain form of their table: passes, caches, generate()."""
import harness

harness.require("torch", "transformers")
import torch
from transformers import DynamicCache

import patching_models as models
import skipattn
from skipattn.patching import RoutedCache

LIMIT = 2e-5


def logits_of(model, ids, mask=None, **options):
    """fp32 logits, those of padding 0."""
    with torch.no_grad():
        logits = model(ids, attention_mask=mask, use_cache=False, **options).logits
    return logits if mask is None else logits * mask[:, :, None]


def close(found, expected, what):
    assert found.shape == expected.shape, what
    difference = (found - expected).abs().max().item()
    assert difference <= LIMIT * max(1.0, expected.abs().max().item()), (what, difference)


def in_pieces(model, ids, mask, ends):
    """The same logits through the cache, in pieces that end there; and the cache."""
    pieces, begin, cache = [], 0, None
    for end in ends:
        with torch.no_grad():
            positions = torch.arange(begin, end)[None]
            result = model(ids[:, begin:end], attention_mask=None if mask is None else mask[:, :end], use_cache=True,
                           past_key_values=cache, position_ids=positions)
        pieces.append(result.logits)
        begin, cache = end, result.past_key_values
    logits = torch.cat(pieces, 1)
    return (logits if mask is None else logits * mask[:, :, None]), cache


def greedy(model, ids, mask, steps):
    """What greedy generation must give, each token from a full pass."""
    for _ in range(steps):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.no_grad():
            best = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits[:, -1].argmax(-1)
        ids, mask = torch.cat([ids, best[:, None]], 1), torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
    return ids


def test_a_baseline_is_what_the_model_was(folder):
    ids, mask = models.left_padded()
    for name in models.CONFIGS:
        model = models.model_of(name)
        baseline = models.patched(model, "baseline")
        for given in (None, mask):
            close(logits_of(baseline, ids, given), logits_of(model, ids, given), name)
        assert [p.shape for p in baseline.parameters()] == [p.shape for p in model.parameters()]


def test_a_routing_is_its_table_in_plain_operations(folder):
    ids, mask = models.left_padded()
    for name in models.CONFIGS:
        model = models.model_of(name)
        for routing in models.ROUTINGS:
            patched, plain = models.patched(model, routing), models.plain(model, routing)
            for given in (None, mask):
                expected = logits_of(plain, ids, given)
                close(logits_of(patched, ids, given), expected, (name, routing))
                close(in_pieces(patched, ids, given, [13, 14, 15, 24])[0], expected, (name, routing, "in pieces"))
            assert sum(p.numel() for p in patched.parameters()) < sum(p.numel() for p in model.parameters())


def test_packed_documents_do_not_see_each_other(folder):
    ids, _ = models.left_padded((0,), length=20)
    positions = torch.cat([torch.arange(12), torch.arange(8)])[None]
    for name in ("gpt2", "mistral", "gemma3"):
        model = models.model_of(name)
        together = logits_of(models.patched(model, "baseline"), ids, position_ids=positions)
        close(together, logits_of(model, ids, position_ids=positions), name)
        routed = models.patched(model, models.ROUTINGS[0])
        alone = torch.cat([logits_of(routed, ids[:, :12]), logits_of(routed, ids[:, 12:])], 1)
        close(logits_of(routed, ids, position_ids=positions), alone, name)


def test_generate_greedy_sampled_and_with_beams(folder):
    ids, mask = models.left_padded((0, 5), length=14)
    settings = dict(attention_mask=mask, max_new_tokens=8, pad_token_id=0)
    for name in models.CONFIGS:
        model = models.model_of(name)
        patched = models.patched(model, models.ROUTINGS[0])
        expected = greedy(models.plain(model, models.ROUTINGS[0]), ids, mask, 8)
        assert torch.equal(patched.generate(ids, do_sample=False, **settings), expected), name
        for options in (dict(do_sample=True, top_k=20), dict(num_beams=3, do_sample=False)):
            found = []
            for use_cache in (True, False):
                torch.manual_seed(5)
                found.append(patched.generate(ids, use_cache=use_cache, **options, **settings))
            assert torch.equal(*found), (name, options)


def test_the_cache_has_live_heads_and_windows_only(folder):
    ids, _ = models.left_padded((0, 0), length=24)
    model = models.model_of("gpt2")
    sizes = {}
    for routing in ("baseline", "sla(distance=2, heads=1)", "baseline(window=6)"):
        patched = models.patched(model, routing)
        cache = in_pieces(patched, ids, None, [20, 24])[1]
        assert isinstance(cache, RoutedCache) and cache.get_seq_length() == 24
        sizes[routing] = cache.bytes()
    tokens = 2 * 24 * 16 * 4  # a head of 24 tokens, keys or values, two rows
    assert sizes["baseline"] == 16 * tokens and sizes["sla(distance=2, heads=1)"] == 12 * tokens
    assert sizes["baseline(window=6)"] == 16 * tokens * 5 // 24


def test_callers_bring_and_reorder_caches(folder):
    ids, _ = models.left_padded((0, 0), length=12)
    patched = models.patched(models.model_of("gemma3"), models.ROUTINGS[0])
    given = DynamicCache()
    expected = logits_of(patched, ids)
    with torch.no_grad():
        patched(ids[:, :10], past_key_values=given)
        assert isinstance(given, RoutedCache) and given.get_seq_length() == 10
        given.reorder_cache(torch.tensor([1, 0]))
        found = patched(ids[[1, 0], 10:], past_key_values=given).logits
    close(found, expected[[1, 0], 10:], "reordered")
    assert torch.equal(patched.generate(ids, past_key_values=DynamicCache(), max_new_tokens=4, do_sample=False),
                       patched.generate(ids, max_new_tokens=4, do_sample=False))


def test_caches_are_cut_back(folder):
    ids, _ = models.left_padded((0, 0), length=20)
    for name in ("gpt2", "mistral"):
        patched = models.patched(models.model_of(name), models.ROUTINGS[0])
        cache = RoutedCache(patched.base_model.reaches)
        cache.activate_past_recording()
        with torch.no_grad():
            patched(ids[:, :16], past_key_values=cache)
            cache.crop(-4)
            found = patched(ids[:, 12:], past_key_values=cache).logits
        close(found, logits_of(patched, ids)[:, 12:], name)


def test_hidden_states_and_tuples(folder):
    ids, _ = models.left_padded((0,))
    for name in ("gpt2", "gemma2"):
        model = models.model_of(name)
        patched = models.patched(model, "baseline")
        with torch.no_grad():
            expected, found = (m(ids, output_hidden_states=True).hidden_states for m in (model, patched))
            assert len(found) == len(expected)
            for a, b in zip(found, expected):
                close(a, b, name)
            assert torch.equal(patched(ids, return_dict=False)[0], patched(ids).logits)


def test_the_forward_pass_is_one_graph(folder):
    ids, mask = models.left_padded()
    for name in ("gpt2", "mistral"):
        patched = models.patched(models.model_of(name), models.ROUTINGS[0])
        torch._dynamo.reset()
        compiled = torch.compile(patched, backend="eager", fullgraph=True)
        for given in (None, mask):
            close(logits_of(compiled, ids, given), logits_of(patched, ids, given), name)


def test_bfloat16_stays_near_float32(folder):
    ids, mask = models.left_padded()
    for name in models.CONFIGS:
        patched = models.patched(models.model_of(name), models.ROUTINGS[0])
        expected = logits_of(patched, ids, mask)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = logits_of(patched, ids, mask)
        halved = logits_of(patched.to(torch.bfloat16), ids, mask)
        for found in (autocast, halved):
            assert (found.float() - expected).abs().mean() < 0.05 * expected.abs().mean(), name


if __name__ == "__main__":
    harness.main(globals())
