"""serve: the completions form over HTTP, beside generate and eval; hostile clients among good ones; a clean end."""
import concurrent.futures
import contextlib
import functools
import http.client
import json
import math
import os
import pathlib
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import BINARY, fails, main, require, run, run_json

require("numpy")
EXACT = ("--dtype", "fp32", "--weights", "fp32", "--cache-dtype", "fp32", "--threads", 2)
TEXTS = ["The ship left", "one two three", "é€ naïve", "def main():", "a", "Night fell over the harbour and nobody spoke"]


FOLDER = tempfile.TemporaryDirectory(prefix="skipattn-test-")


@functools.cache
def make_model():
    """A tiny trained model with a tokenizer of its own: (model folder, token file)."""
    folder = pathlib.Path(FOLDER.name)
    text = " ".join(["The ship left the harbour at night and nobody spoke of it.", "naïve café €5,", "def main(): return 3",
                     "one two three four five six seven"] * 60)
    (folder / "text.txt").write_text(text, encoding="utf-8")
    run("tokenize", folder / "text.txt", "--train-bpe", 300, "--out", folder / "text.bin", "--quiet")
    config = folder / "train.toml"
    config.write_text(f'''[model]
name = "gpt2-tiny"
routing = "sla(distance=2, heads=2)"
[data]
train = "{folder}/text.bin"
val = "{folder}/text.bin"
context = 128
[training]
steps = 30
batch_size = 4
learning_rate = 3e-3
''')
    run("train", "--config", config, "--out", folder / "run", "--quiet", "--threads", 2)
    return folder / "run", folder / "text.bin"


class Server:
    """`skipattn serve` on a free port."""

    def __init__(self, model, *options):
        self.process = subprocess.Popen([BINARY, "serve", "--model", str(model), "--port", "0", "--json", "--quiet",
                                         *map(str, EXACT), *map(str, options)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.about = json.loads(line)
        self.port = self.about["port"]

    def ask(self, body, path="/v1/completions", method="POST", connection=None):
        """(status, JSON)"""
        client = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        client.request(method, path, data, {"Content-Type": "application/json"})
        answer = client.getresponse()
        text = answer.read()
        if connection is None:
            client.close()
        return answer.status, json.loads(text)

    def complete(self, **body):
        status, answer = self.ask(body)
        assert status == 200, (status, answer)
        return answer

    def stream(self, **body):
        """The events' objects; the stream must end with [DONE]."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        client.request("POST", "/v1/completions", json.dumps({**body, "stream": True}))
        answer = client.getresponse()
        assert answer.status == 200 and answer.getheader("Content-Type") == "text/event-stream"
        events = answer.read().decode("utf-8").split("\n\n")
        client.close()
        assert events[-2:] == ["data: [DONE]", ""], events[-3:]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def stop(self, number=signal.SIGTERM, within=15):
        self.process.send_signal(number)
        code = self.process.wait(timeout=within)
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        assert code == 0 and errors == "", (code, errors)


@contextlib.contextmanager
def serving(model, *options):
    server = Server(model, *options)
    try:
        yield server
        server.stop()
    finally:
        if server.process.poll() is None:
            server.process.kill()


def joined(events, index=0):
    return "".join(choice["text"] for event in events for choice in event["choices"] if choice["index"] == index)


def check_answers(server, model):
    for text in TEXTS[:4]:
        expected = run_json("generate", "--model", model, "--prompt", text, "--temperature", 0, "--max-new-tokens", 20,
                            *EXACT)
        answer = server.complete(prompt=text, max_tokens=20, temperature=0)
        choice = answer["choices"][0]
        assert choice["text"] == expected["text"], (choice, expected)
        assert choice["finish_reason"] == {"length": "length", "end_of_text": "stop"}[expected["finish"]]
        assert answer["usage"] == {"prompt_tokens": expected["prompt_tokens"], "completion_tokens": expected["new_tokens"],
                                   "total_tokens": expected["prompt_tokens"] + expected["new_tokens"]}
        events = server.stream(prompt=text, max_tokens=20, temperature=0, stream_options={"include_usage": True})
        assert joined(events) == expected["text"] and events[-1]["usage"] == answer["usage"]
        assert [e["choices"][0]["finish_reason"] for e in events[:-2]] == [None] * (len(events) - 2)
        assert server.complete(prompt=text, max_tokens=3, temperature=0, echo=True)["choices"][0]["text"].startswith(text)
    drawn = run_json("generate", "--model", model, "--prompt", TEXTS[0], "--temperature", 0.9, "--top-k", 20, "--seed", 7,
                     "--max-new-tokens", 20, *EXACT)
    sampling = {"temperature": 0.9, "top_k": 20, "seed": 7, "max_tokens": 20}
    assert server.complete(prompt=TEXTS[0], **sampling)["choices"][0]["text"] == drawn["text"]
    several = server.complete(prompt=TEXTS[:2], n=2, **sampling)["choices"]
    assert [c["index"] for c in several] == [0, 1, 2, 3] and several[0]["text"] == drawn["text"] != several[1]["text"]
    whole = server.complete(prompt=TEXTS[0], max_tokens=20, temperature=0)["choices"][0]["text"]
    stop = whole[len(whole) // 2:len(whole) // 2 + 2]
    ended = server.complete(prompt=TEXTS[0], max_tokens=20, temperature=0, stop=stop)["choices"][0]
    assert ended["text"] == whole[:whole.index(stop)] and ended["finish_reason"] == "stop"


def check_log_probabilities(server, model, tokens):
    """echo, logprobs and max_tokens=0: the loss that eval finds."""
    import numpy
    ids = numpy.fromfile(tokens, "<u2", 129).tolist()
    (tokens.parent / "window.bin").write_bytes(numpy.array(ids, "<u2").tobytes())
    loss = run_json("eval", "--model", model, "--data", tokens.parent / "window.bin", "--context", 128, "--dtype", "fp32")
    answer = server.complete(prompt=ids[:128], max_tokens=1, logprobs=5, echo=True, temperature=0)["choices"][0]["logprobs"]
    rated = server.complete(prompt=ids[:128], max_tokens=0, logprobs=1, echo=True)["choices"][0]["logprobs"]
    assert rated["token_logprobs"] == answer["token_logprobs"][:-1] and len(rated["tokens"]) == 128
    assert rated["token_logprobs"][0] is None and rated["top_logprobs"][0] is None
    last = server.complete(prompt=[ids[1:128]], max_tokens=1, logprobs=5, temperature=0)["choices"][0]["logprobs"]
    assert len(last["tokens"]) == 1 and max(last["top_logprobs"][0].values()) == last["token_logprobs"][0]
    # eval's window predicts token 128 too, of which the prompt's answer says nothing
    dump = tokens.parent / "logits.safetensors"
    run("eval", "--model", model, "--data", tokens.parent / "window.bin", "--context", 128, "--dtype", "fp32",
        "--dump-logits", dump, "--quiet")
    from safetensors.numpy import load_file
    logits = load_file(dump)["logits"][0].astype("f8")
    rows = logits - logits.max(1, keepdims=True)
    rows -= numpy.log(numpy.exp(rows).sum(1, keepdims=True))
    of_next = rows[numpy.arange(128), ids[1:]]
    assert abs(-of_next.mean() - loss["loss"]) < 1e-4
    assert numpy.abs(of_next[:127] - rated["token_logprobs"][1:]).max() < 1e-3
    assert abs((of_next[:127].mean() - numpy.mean(rated["token_logprobs"][1:]))) < 1e-5
    events = server.stream(prompt=TEXTS[0], max_tokens=9, temperature=0, logprobs=2, echo=True)
    names = [name for e in events for name in e["choices"][0]["logprobs"]["tokens"]]
    entire = server.complete(prompt=TEXTS[0], max_tokens=9, temperature=0, logprobs=2, echo=True)["choices"][0]
    assert names == entire["logprobs"]["tokens"] and joined(events) == entire["text"]
    for offset, name in zip(entire["logprobs"]["text_offset"], names):
        assert name.startswith("bytes:") or entire["text"][offset:].startswith(name) or name == "<|endoftext|>"


def check_refusals(server):
    def refused(expected, says, *arguments, **options):
        status, answer = server.ask(*arguments, **options)
        assert status == expected and says in answer["error"]["message"], (status, answer)
        assert answer["error"]["type"] == ("server_error" if status >= 500 else "invalid_request_error")

    refused(400, "not JSON", b"{")
    refused(400, "max_tokens", {"prompt": "a", "max_tokens": "many"})
    refused(400, "did you mean 'temperature'", {"prompt": "a", "temprature": 1})
    refused(400, "128 positions", {"prompt": "a", "max_tokens": 1000})
    refused(400, "128 positions", {"prompt": "long " * 2000})
    refused(404, "this server has 'run'", {"prompt": "a", "model": "davinci"})
    refused(404, "no such path", None, path="/v1/chat", method="GET")
    refused(405, "takes POST", None, method="GET")
    refused(413, "longer than 50000 bytes", b'{"prompt": "' + b"x" * 3_000_000 + b'"}')
    assert server.ask(None, "/health", "GET") == (200, {"status": "ok"})
    assert server.ask(None, "/v1/models", "GET")[1]["data"][0]["id"] == "run"
    assert server.ask(None, "/v1/models/run", "GET")[1]["id"] == "run"
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"nonsense\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")  # and nothing more
        raw.settimeout(20)
        assert raw.recv(1000).startswith(b"HTTP/1.1 408")


def check_client_library(server):
    try:
        import openai
    except ImportError:
        print("python package openai is not installed: its check is left out")
        return
    client = openai.OpenAI(base_url=server.about["url"], api_key="none", max_retries=0)
    plain = client.completions.create(model="run", prompt=TEXTS[0], max_tokens=8, temperature=0, logprobs=2)
    parts = client.completions.create(model="run", prompt=TEXTS[0], max_tokens=8, temperature=0, stream=True)
    assert "".join(part.choices[0].text for part in parts) == plain.choices[0].text != ""
    assert plain.usage.completion_tokens == len(plain.choices[0].logprobs.tokens) == 8
    assert [model.id for model in client.models.list()] == ["run"] and client.models.retrieve("run").id == "run"
    try:
        client.completions.create(model="run", prompt="a", max_tokens=-3)
        raise AssertionError("max_tokens=-3 was taken")
    except openai.BadRequestError as error:
        assert "max_tokens=-3" in error.message


def test_answers_and_refusals(folder):
    model, tokens = make_model()
    with serving(model, "--max-body", 50000, "--read-seconds", 2) as server:
        check_answers(server, model)
        check_log_probabilities(server, model, tokens)
        check_refusals(server)
        check_client_library(server)
    fails("serve", "--model", model, "--host", "192.0.2.1", says="cannot listen on 192.0.2.1")
    fails("serve", "--model", model, "--port", "70000", says="--port")


def one_request(server, number, expected):
    """A good request, or one of three bad kinds; AssertionError when what comes back is wrong."""
    kind = ("good", "good", "malformed", "cut", "long")[number % 5]
    text = TEXTS[number % len(TEXTS)]
    if kind == "good":
        body = {"prompt": text, "max_tokens": 24, "temperature": 0}
        found = joined(server.stream(**body)) if number % 2 else server.complete(**body)["choices"][0]["text"]
        assert found == expected[text], (text, found, expected[text])
    elif kind == "malformed":
        bad = [b"", b"\xff\xfe", b'{"prompt": ', b'{"prompt": 5}', b'{"prompt": ["a", 5]}', b"[" * 20000][number // 5 % 6]
        assert server.ask(bad)[0] == 400
    elif kind == "cut":
        body = json.dumps({"prompt": text, "max_tokens": 100, "n": 4, "stream": number % 2 == 0}).encode()
        sent = body if number % 4 < 2 else body[:len(body) // 2]
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + sent)
            if number % 3 == 0:
                time.sleep(random.random() * 0.05)
    else:
        status = server.ask({"prompt": "long " * 5000} if number % 2 else b" " * 200_000)[0]
        assert status == (400 if number % 2 else 413), status
    return kind


def test_three_hundred_requests_from_sixteen_clients(folder):
    model, _ = make_model()
    with serving(model, "--max-body", 100_000, "--slots", 8, "--read-seconds", 5) as server:
        expected = {text: server.complete(prompt=text, max_tokens=24, temperature=0)["choices"][0]["text"] for text in TEXTS}
        assert len(set(expected.values())) > 3, expected
        sizes = []
        for _ in range(3):
            with concurrent.futures.ThreadPoolExecutor(16) as clients:
                kinds = list(clients.map(lambda number: one_request(server, number, expected), range(300)))
            assert kinds.count("good") == 120
            sizes.append(server.memory())
        assert sizes[2] - sizes[1] < 8 << 20, sizes
        status, answer = server.ask({"prompt": "a", "max_tokens": 2, "temperature": 0})  # no slot is lost
        assert status == 200 and math.isfinite(answer["usage"]["total_tokens"])


def check_hang_up(server):
    """A request for seconds of work ends with its client."""
    def processor_seconds():
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    body = json.dumps({"prompt": "a", "max_tokens": 120, "n": 128, "temperature": 2}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.3)
    time.sleep(0.3)
    before = processor_seconds()
    time.sleep(0.5)
    assert processor_seconds() - before < 0.1, "the server works on for a client that has gone"


def test_limits_and_a_clean_end(folder):
    model, _ = make_model()
    with serving(model, "--slots", 1) as server:
        check_hang_up(server)
    with serving(model, "--slots", 1, "--waiting", 1, "--connections", 3, "--answer-seconds", 0.001) as server:
        status, answer = server.ask({"prompt": "a", "max_tokens": 100, "n": 8})
        assert status == 503 and "took longer" in answer["error"]["message"], answer
        kept = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", server.port)) as fourth:
            assert fourth.recv(1000).startswith(b"HTTP/1.1 503")
        for connection in kept:
            connection.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        server = Server(model, "--grace-seconds", 0.2)
        outcomes = []
        def work():
            with contextlib.suppress(http.client.HTTPException, OSError):
                outcomes.append(server.ask({"prompt": "a", "max_tokens": 120, "n": 128, "temperature": 2})[0])
        client = threading.Thread(target=work)
        client.start()
        time.sleep(0.3)
        server.stop(number)
        client.join()
        assert outcomes in ([200], [503]), outcomes  # answered in time, or told why not


if __name__ == "__main__":
    main(dict(globals()))
