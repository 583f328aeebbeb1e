"""What the script tests share: running the binary, small corpora, random models, a plain PyTorch GPT with a routing table.

A script's functions named test_* are run in order by main(); the first failure ends it with exit code 1.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

BINARY = os.environ.get("SKIPATTN_BINARY", "build/skipattn")
SKIPPED = 77


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def require(*modules):
    """Imports modules or skips the whole script."""
    for module in modules:
        try:
            __import__(module)
        except ImportError:
            skip(f"python package {module} is not installed")


def shared_data(name):
    """The path of a file of the real data, or skips the whole script."""
    beside = pathlib.Path(os.environ.get("SKIPATTN_SOURCE_DIR", ".")).resolve().parent / "shared/data"
    path = pathlib.Path(os.environ.get("SKIPATTN_SHARED_DATA", beside)) / name
    if not path.exists():
        skip(f"{path} is absent; SKIPATTN_SHARED_DATA names the folder of real data")
    return path


def run(*arguments, check=0, stdin=None, timeout=600, env=None):
    """Runs the binary; asserts its exit code; returns the finished process with text output."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          input=stdin, env={**os.environ, **(env or {})})
    if check is not None and done.returncode != check:
        raise AssertionError(f"exit code {done.returncode}, expected {check}: {' '.join(map(str, arguments))}\n"
                             f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


def run_json(*arguments, **options):
    """Runs with --json --quiet; standard output must be one JSON object and nothing else."""
    return json.loads(run(*arguments, "--json", "--quiet", **options).stdout)


def fails(*arguments, code=2, says=(), **options):
    """The command must fail with this code, print every fragment, and nothing on standard output."""
    done = run(*arguments, check=code, **options)
    says = [says] if isinstance(says, str) else says
    for fragment in says:
        assert fragment in done.stderr, f"expected {fragment!r} in: {done.stderr}"
    assert any(line.startswith("skipattn: ") for line in done.stderr.splitlines()), done.stderr
    assert "terminate called" not in done.stderr and "backtrace" not in done.stderr.lower(), done.stderr
    return done


def write_tokens(path, count, vocabulary, seed=0):
    """A nanoGPT token file (plain uint16) with some structure to learn."""
    import numpy
    draw = numpy.random.default_rng(seed)
    ids = draw.integers(0, vocabulary, count)
    repeat = draw.random(count) < 0.5
    for i in range(1, count):
        if repeat[i]:
            ids[i] = (ids[i - 1] * 7 + 3) % vocabulary
    ids.astype("<u2").tofile(path)
    return ids


def toml(**sections):
    """{"data": {"context": 8}} as TOML text."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def main(functions):
    tests = [(name, value) for name, value in functions.items() if name.startswith("test_")]
    assert tests, "no tests"
    for name, test in tests:
        with tempfile.TemporaryDirectory(prefix="skipattn-test-") as folder:
            print(f"[ RUN  ] {name}", flush=True)
            test(pathlib.Path(folder))
            print(f"[  OK  ] {name}", flush=True)
    print(f"{len(tests)} passed, 0 failed")
