"""skipattn.nn: the page of GPT beside a plain model of the same table, and attention's own switches."""
import harness

harness.require("torch")
import torch

import skipattn
from skipattn import nn
from skipattn.routing import Routing

torch.set_num_threads(1)  # for tensors this small a second one is in the way
TABLE = """{"layers": 4, "kv_heads": 4, "routes": [
    {"layer": 2, "head": [0, 2], "key": 1, "value": 0}, {"layer": 3, "head": 1, "key": ["own", 0], "value": ["own", 2]},
    {"layer": 3, "head": 3, "key": {"layer": 0, "head": 1}, "value": {"layer": 2, "head": 0}}]}"""
ROUTINGS = ["baseline", "sla(distance=2, heads=3)", "skipv1", "cla(group=2)", "yoco(split=1/2, window=5)", TABLE]
SIZES = dict(layers=4, heads=4, width=32, vocabulary=61, positions=40)


def small_gpt(routing, **changes):
    torch.manual_seed(3)
    model = nn.GPT(routing, **{**SIZES, **changes})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double()


def plain_logits(model, tokens):
    """The same weights, head by head, every score in memory."""
    length, x = tokens.shape[1], model.tokens(tokens) + model.positions.weight[:tokens.shape[1]]
    keys, values = [], []
    place = torch.arange(length)
    for block, plan in zip(model.blocks, model.plan.layers):
        q, k, v = (block.attention.projection(block.norm1(x)).unflatten(-1, (-1, 8)).transpose(1, 2)
                   .split(block.attention.rows, dim=1))
        keys.append(k)
        values.append(v)
        hidden = (place[None] > place[:, None]) | (place[None] <= place[:, None] - (plan.window or length))
        mixed = []
        for head, pairs in enumerate(plan.heads):
            scores = [(q[:, head] @ keys[pair.key_layer][:, pair.key_slot].mT / 8**0.5).masked_fill(hidden, -torch.inf)
                      for pair in pairs]
            read = torch.cat([values[pair.value_layer][:, pair.value_slot] for pair in pairs], 1)
            mixed.append(torch.cat(scores, -1).softmax(-1) @ read)
        x = x + block.attention.output(torch.cat(mixed, -1))
        x = x + block.down(torch.nn.functional.gelu(block.up(block.norm2(x)), approximate="tanh"))
    return model.norm(x) @ model.tokens.weight.T


def test_gpt_is_its_table_in_plain_operations(folder):
    tokens, targets = torch.randint(0, 61, (2, 2, 20)).unbind()
    parameters = {}
    for routing in ROUTINGS:
        model = small_gpt(routing)
        parameters[routing] = sum(p.numel() for p in model.parameters())
        expected = plain_logits(model, tokens)
        torch.testing.assert_close(model(tokens), expected, rtol=1e-10, atol=1e-10)
        wanted = torch.autograd.grad(torch.nn.functional.cross_entropy(expected.flatten(0, 1), targets.flatten()),
                                     list(model.parameters()))
        for got, want in zip(torch.autograd.grad(model(tokens, targets), list(model.parameters())), wanted):
            torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)
    assert parameters["baseline"] - parameters["cla(group=2)"] == 2 * 2 * 33 * 32


def test_borrowed_tensors_are_let_go_after_their_last_reader(folder):
    plan = Routing.parse("sla(distance=2, heads=3)", layers=5, kv_heads=4).plan()
    lent = nn.LentTensors(plan)
    held = []
    for layer in range(5):
        assert len(lent.borrowed_by(layer)) == (2 if layer >= 2 else 0)
        lent.add(layer, torch.zeros(1), torch.zeros(1))
        held.append(sorted({source for source, _ in lent._tensors}))
    assert held == [[0], [0, 1], [1, 2], [2], []]


def test_checkpointing_gives_the_same_gradients(folder):
    model, tokens = small_gpt(TABLE, dropout=0.2), torch.randint(0, 61, (2, 20))
    results = []
    for reentrant in (None, True, False):
        torch.manual_seed(4)
        x, lent = model.tokens(tokens), nn.LentTensors(model.plan)
        for layer, block in enumerate(model.blocks):
            arguments = (x, *lent.borrowed_by(layer))
            x, keys, values = block(*arguments) if reentrant is None else torch.utils.checkpoint.checkpoint(
                block, *arguments, use_reentrant=reentrant)
            lent.add(layer, keys, values)
        model.zero_grad()
        x.square().mean().backward()
        results.append([p.grad.clone() for p in model.blocks.parameters()])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_attention_alone(folder):
    plan = Routing.parse("baseline(window=4)", layers=1, kv_heads=2).plan()
    turned = []
    attention = nn.RoutedSelfAttention(plan, 0, 24, 4, head_width=8, bias=False, rotate=lambda x: turned.append(x.shape) or -x)
    x = torch.randn(2, 9, 24)
    output, keys, values = attention(x)
    assert output.shape == x.shape and keys.shape == values.shape == (2, 2, 9, 8) and turned == [(2, 4, 9, 8), (2, 2, 9, 8)]
    x[:, 4] += 1.0  # seen by queries 4 to 7 alone
    changed = (attention(x)[0] - output).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [False] * 4 + [True] * 4 + [False]
    late = torch.full((2, 9), 6, dtype=torch.int32)
    assert (attention(x, first_key=late)[0][:, :6] == 0).all()  # nothing is seen, and there is no bias
    for arguments, says in (((plan, 0, 24, 3), "heads must be a multiple of the routing's 2 KV heads, got 3"),
                            ((plan, 0, 25, 4), "width must be a multiple of heads = 4")):
        try:
            nn.RoutedSelfAttention(*arguments)
        except ValueError as error:
            assert says in str(error), error
        else:
            raise AssertionError(says)


def test_gpt_learns(folder):
    model = small_gpt("sla(distance=2, heads=3)", dropout=0.1).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    tokens = (torch.arange(21) * 7 % 61)[None]
    losses = []
    for _ in range(25):
        loss = model(tokens[:, :-1], tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0], losses


if __name__ == "__main__":
    harness.main(globals())
