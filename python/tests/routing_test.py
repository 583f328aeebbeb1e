"""skipattn.Routing beside the library and the program: the same tables, plans, costs and sentences."""
import dataclasses
import json
import os
import random
import subprocess

import harness
from skipattn import Routing
from skipattn.routing import Dimensions

ORACLE = os.environ.get("SKIPATTN_ROUTING_ORACLE", "build/python/routing_oracle")
NAMED = ["baseline", "sla", "skipv1", "cla", "yoco"]


def ask(questions):
    """The library's answers to (text, layers, KV heads)."""
    lines = "\n".join(json.dumps({"text": text, "layers": layers, "kv_heads": kv_heads})
                      for text, layers, kv_heads in questions)
    done = subprocess.run([ORACLE], input=lines + "\n", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def answer(text, layers, kv_heads):
    """What the package says, in the library's form."""
    try:
        routing = Routing.parse(text, layers=layers, kv_heads=kv_heads)
    except ValueError as error:
        return {"error": str(error)}
    plans = []
    for layer in routing.plan().layers:
        plan = dataclasses.asdict(layer)
        plan["groups"] = [[g.first_head, g.head_count, g.sources] for g in layer.groups]
        plans.append(plan)
    return json.loads(json.dumps({"text": str(routing), "explicit": routing.explicit(), "routes": routing.table,
                                  "is_baseline": routing.is_baseline(), "layers": plans}))


def compare(questions):
    """Every answer must be the library's; returns how many texts were sound."""
    answers = ask(questions)
    for question, theirs in zip(questions, answers):
        ours = answer(*question)
        assert ours == theirs, f"{question}\n the package: {ours}\n the library: {theirs}"
        if "error" not in ours:
            again = Routing.parse(str(Routing.parse(question[0], layers=question[1], kv_heads=question[2])),
                                  layers=question[1], kv_heads=question[2])
            assert again == Routing.parse(question[0], layers=question[1], kv_heads=question[2])
    return sum("error" not in theirs for theirs in answers)


def test_every_named_routing_in_every_small_size(folder):
    texts = NAMED + ["baseline(window=3)", "sla(chain=resolved)", "sla(distance=1,which=every)", "sla(keys=own)",
                     "sla( distance = 1/2 , heads=0.5, which=first)", "sla(heads=1, chain=resolved, window=7)",
                     "sla(keys=own,values=own)", "sla(distance=2, which=[1,0])", "skipv1(heads=1/4, which=first)",
                     "skipv1(chain=resolved)", "cla(group=3)", "cla(group=1)", "yoco(split=1/3, window=512)",
                     '{"name": "sla", "distance": 1, "which": "every"}', '{"routes": []}']
    sound = compare([(text, layers, heads) for text in texts for layers in range(1, 8) for heads in range(1, 7)])
    assert sound > 500


def random_call(draw):
    """A named routing with arguments that are sensible, odd, unknown or not there."""
    values = ["1", "2", "3", "9", "-1", "0", "3/4", "1/2", "0.75", "1.0", "0.29", "1.5", "4/3", ".5", "1/0", "1e3",
              "own", "skip", "skp", "last", "first", "every", "evry", "resolved", "[0]", "[0,3]", "[2, 1]", "[1,1]",
              "[]", "[0,12]", "[x]", "[", "", "999999999", "1234567890", "1/2/3", "1.", "'a,b'", "é"]
    names = ["distance", "heads", "keys", "values", "which", "chain", "window", "group", "split", "haeds", "Window", ""]
    name = draw.choice(NAMED + ["sla", "sla", "SLA", "slaa", "yoko", "", "nonsense", "basélin"])
    items = [f"{draw.choice(names)}{draw.choice(['=', ' = ', '=', ''])}{draw.choice(values)}"
             for _ in range(draw.choice([0, 1, 1, 2, 2, 3, 4]))]
    text = f"{name}({draw.choice([',', ', '])}".replace("(,", "(").replace("( ", "(") + ", ".join(items) + ")"
    if draw.random() < 0.1:
        text = text[:-1] if draw.random() < 0.5 else text + draw.choice([")", "x", " "])
    return text


def random_value(draw, depth=0):
    kind = draw.randrange(12)
    if kind < 5:
        return draw.choice([0, 1, 2, 3, 4, -1, 7, 12345678901])
    if kind == 5 and depth < 3:
        return [random_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 6 and depth < 3:
        return {draw.choice(["layer", "head", "key", "x", "name"]): random_value(draw, depth + 1)
                for _ in range(draw.randrange(3))}
    return draw.choice(["own", "none", "all", "0-1", "1-9", "2-1", "a", "0-1-2", "é\n\"", True, None, 1.5, 0.1, 1e20,
                        1e15, 1.25e15, -3e15, 1e-7, 123456789012345.0, 2**64 - 1, -2**63, [], {}])


def random_side(draw, layer, sound):
    if not sound and draw.random() < 0.5:
        return random_value(draw)
    one = lambda: draw.choice(["own", draw.randrange(layer + 1), {"layer": draw.randrange(layer + 1)}, {"head": 0},
                               {"layer": draw.randrange(layer + 1), "head": draw.randrange(3)}])
    return draw.choice([one(), one(), "none", [one(), one()], [one()]])


def random_table(draw, layers):
    sound = draw.random() < 0.6
    routes = []
    for _ in range(draw.randrange(5)):
        layer = draw.randrange(layers)
        entry = {"layer": layer if sound else draw.choice([layer, f"0-{layer}", "all", random_value(draw)]),
                 "key": random_side(draw, layer, sound)}
        entry["value"] = entry["key"] if draw.random() < 0.5 else random_side(draw, layer, sound)
        if draw.random() < 0.7:
            entry["head"] = draw.choice([0, 1, [0, 1], "0-1", 2] if sound else [random_value(draw), 0])
        if draw.random() < 0.05:
            entry[draw.choice(["heads", "x"])] = 1
        if draw.random() < 0.05:
            del entry[draw.choice(list(entry))]
        routes.append(entry if draw.random() < 0.95 else random_value(draw))
    table = {"routes": routes}
    for key, values in (("chain", ["own", "resolved", "x", 3]), ("windows", [4, 0, [3] * layers, [1, 2], -1, "a"]),
                        ("layers", [layers, layers, 3, 0, 600]), ("kv_heads", [3, 3, 2, "3"]), ("rotues", [1])):
        if draw.random() < (0.15 if sound else 0.3):
            table[key] = draw.choice(values[:2] if sound else values)
    return table


def test_a_thousand_random_calls(folder):
    draw = random.Random(1)
    questions = [(random_call(draw), draw.randrange(1, 13), draw.randrange(1, 13)) for _ in range(1000)]
    sound = compare(questions)
    assert 40 < sound < 960, sound


def test_two_thousand_random_tables(folder):
    draw = random.Random(2)
    questions = []
    for _ in range(2000):
        layers = draw.randrange(1, 7)
        questions.append((json.dumps(random_table(draw, layers), ensure_ascii=False), layers, 3))
    sound = compare(questions)
    assert 200 < sound < 1800, sound


def test_texts_that_are_not_json_are_refused_at_the_same_character(folder):
    draw = random.Random(3)
    questions = []
    for _ in range(2000):
        text = '{"layers": 4, "windows": [1, 2.5e3, -0, true], "é": "a\\u00e9\\n", "routes": [{"layer": 1, "key": null}]}'
        for _ in range(draw.choice([1, 1, 2])):
            at = draw.randrange(1, len(text))
            text = text[:at] + draw.choice(["", "", "x", '"', "{", "}", "[", ",", ":", "\\", "\\u12", "\\ud800", "-", "0",
                                            "1.", "e", "é", "\t", "nul", "1e999", " "]) + text[at + draw.randrange(2):]
        questions.append((text, 4, 3))
    deep = ['{"routes": ' + "[" * n + close for n in (14, 15, 16, 17, 18) for close in ("", "1", "]" * n + "}")]
    twice = ['{"layers": 4, "layers": 4, "routes": []}', '{"routes": [{"layer": 1, "layer": 2}], "x": }']
    compare(questions + [(text, 4, 3) for text in deep + twice])


def test_odd_texts_and_sizes(folder):
    texts = ["", "  ", "(", ")", "()", "sla(", "sla)", "sla()x", "sla(=)", "sla(a)", "sla(distance)", "{", "{}", "[]",
             "{\"name\": 3}", "{\"name\": \"sla\", \"heads\": [0]}", "{\"name\": \"yoco\", \"split\": 0.5}",
             "sla(which=[0,1], heads=2)", "sla(which=[0,1], heads=3)", "sla(which=[0,1], heads=x)", "a" * 60,
             "é" * 30, "a" * 47 + "é", "sla(\tdistance=1\n)", "sla(x\u0001y=1)", "{\"routes\": 1, \"a\nb\": 2}"]
    compare([(text, layers, heads) for text in texts for layers, heads in
             ((12, 12), (1, 1), (2, 3), (0, 4), (4, 0), (-1, -1))])


def test_plan_prints_the_same_numbers(folder):
    gpt2 = Dimensions(heads=12, head_width=64, width=768, mlp_width=3072, vocabulary=50257, positions=1024)
    llama = Dimensions(heads=8, head_width=48, width=384, mlp_width=1024, vocabulary=32000, mlp_gated=True,
                       attention_bias=False, output_bias=False, mlp_bias=False, norm_bias=False)
    for model, dimensions, layers, kv_heads in (("gpt2", gpt2, 12, 12), ("llama-small", llama, 8, 4)):
        for text in ("baseline", "sla", "skipv1(chain=resolved)", "yoco(window=100)", "cla(group=3)"):
            for dtype in ("bf16", "int8"):
                theirs = harness.run_json("plan", "--model", model, "--routing", text, "--cache-dtype", dtype)
                routing = Routing.parse(text, layers=layers, kv_heads=kv_heads)
                plan = routing.plan()
                ours = dataclasses.asdict(plan.costs(dimensions, context=theirs["context"], cache_dtype=dtype))
                ours |= {"live_key_heads": plan.live_key_heads, "live_value_heads": plan.live_value_heads,
                         "routes": plan.routes, "routing": str(routing)}
                for key, value in ours.items():
                    assert value == theirs[key] or abs(value - theirs[key]) <= 1e-12 * abs(value), (model, text, key)
                assert abs(plan.kv_cache_saved - theirs["kv_cache_saved"]) < 1e-12


def test_dimensions_that_do_not_fit_are_named(folder):
    plan = Routing.parse("sla", layers=4, kv_heads=4).plan()
    try:
        plan.costs(Dimensions(heads=6, head_width=0, width=8, mlp_width=8, vocabulary=9, windows=(1,)), cache_dtype="fp32")
    except ValueError as error:
        assert str(error).splitlines() == ["[costs] heads=6 must be a multiple of kv_heads=4",
                                           "[costs] head_width=0 must be 1 or more",
                                           "[costs] windows must be one for each of the 4 layers, got 1"], error
    else:
        raise AssertionError("accepted")


def test_a_dict_is_a_table_and_other_things_are_refused(folder):
    table = {"routes": [{"layer": 3, "key": 0, "value": 0}]}
    assert Routing.parse(table, layers=4, kv_heads=2) == Routing.parse(json.dumps(table), layers=4, kv_heads=2)
    try:
        Routing.parse(3, layers=4, kv_heads=2)
    except TypeError as error:
        assert str(error) == "a routing must be a text or a table, not int"
    else:
        raise AssertionError("accepted")


def test_the_heat_map_shows_every_head(folder):
    from html.parser import HTMLParser
    routing = Routing.parse('{"windows": [64, 0, 0, 0], "routes": [{"layer": "2-3", "head": [0, 1], "key": 0}, '
                            '{"layer": 3, "head": 2, "key": ["own", 1], "value": ["own", {"layer": 1, "head": 3}]}, '
                            '{"layer": 3, "head": 3, "key": "none", "value": "none"}]}', layers=4, kv_heads=4)
    cells, open_tags = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag != "br":
                open_tags.append(tag)
            if "title" in dict(attributes):
                cells.append([dict(attributes)["title"], ""])

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

        def handle_data(self, data):
            if open_tags and open_tags[-1] == "td" and cells and not cells[-1][1]:
                cells[-1][1] = data

    Reader().feed(routing._repr_html_())
    assert not open_tags and len(cells) == 2 * 4 * 4
    assert [mark for _, mark in cells[-8:]] == ["3", "3", "+2", "x", ".", ".", "+2", "x"]
    assert cells[-2][0] == "layer 3 head 2, layer 1 head 3"
    assert "window 64" in routing._repr_html_()


if __name__ == "__main__":
    harness.main(globals())
