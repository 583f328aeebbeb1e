#!/usr/bin/env python3
"""Reading prompts and decoding: skipattn beside llama.cpp and Transformers, in one run, all in turn.

    python bench/bench_generation.py --llama-bench llama.cpp/build/bin/llama-bench
    python bench/bench_generation.py --shape llama-1.1b --contexts 512 --rounds 1 --programs skipattn-bf16,transformers

GPT-2 124M or a 1.1B Llama with random weights, one sequence, 2 threads. skipattn's figures are those of `skipattn profile`
(decoding without the drawing of tokens, which llama-bench leaves out too); llama.cpp's those of llama-bench, built with
-DGGML_NATIVE=ON, on files that write_gguf.py makes (package gguf). Cells are medians over the rounds. Prints tables, or one
JSON object with --json.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path.home() / ".cache/skipattn/gguf"
OURS = {"skipattn-bf16": ("baseline", "bf16"), "skipattn-int8": ("baseline", "int8"),
        "skipattn-sla": ("sla(distance={},heads={})", "bf16")}
PEERS = ("llama.cpp-f16", "llama.cpp-bf16", "llama.cpp-q8_0", "transformers")
SLA = {"gpt2": (9, 9), "llama-1.1b": (16, 3)}


def parse_arguments():
    summary, examples = __doc__.split("\n", 1)
    parser = argparse.ArgumentParser(description=summary, epilog=examples,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/skipattn", type=pathlib.Path)
    parser.add_argument("--shape", choices=SLA, default="gpt2")
    parser.add_argument("--contexts", default="512,4096")
    parser.add_argument("--programs", default=",".join([*OURS, *PEERS]), help="which, of " + ", ".join([*OURS, *PEERS]))
    parser.add_argument("--llama-bench", type=pathlib.Path, help="llama.cpp's program")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--tokens", default=32, type=int, help="decoded by each process")
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--skip-prefill", action="store_true", help="decoding alone")
    parser.add_argument("--skip-decode", action="store_true", help="prompts alone")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.contexts = [int(context) for context in arguments.contexts.split(",")]
    arguments.programs = [name for name in arguments.programs.split(",") if name]
    unknown = sorted(set(arguments.programs) - {*OURS, *PEERS})
    if unknown or not arguments.programs:
        parser.error(f"--programs {','.join(unknown)}: known are {', '.join([*OURS, *PEERS])}")
    if not arguments.program.exists():
        parser.error(f"--program {arguments.program}: no such file; build it first")
    if any(name.startswith("llama.cpp") for name in arguments.programs) and not arguments.llama_bench:
        parser.error("--llama-bench: not given; name llama.cpp's program, or leave it out with --programs")
    return arguments


def output_of(command, arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def run_ours(arguments, name, context):
    routing, weights = OURS[name]
    routing = routing.format(*SLA[arguments.shape])
    common = [arguments.program, "profile", "--model", arguments.shape, "--routing", routing, "--context", context,
              "--weights", weights, "--threads", arguments.threads, "--json", "--quiet"]
    result = {}
    if not arguments.skip_prefill:
        result["prefill"] = output_of([*common, "--mode", "prefill", "--steps", 3], arguments)["tokens_per_second"]
    if arguments.skip_decode:
        return result
    decode = output_of([*common, "--mode", "decode", "--steps", arguments.tokens], arguments)
    drawing = sum(item["ms"] for item in decode["operations"] if item["name"] == "sampling")
    milliseconds = decode["step_ms"]["median"] - drawing
    result["decode"] = 1e3 / milliseconds
    result["triad"] = decode["memory_bandwidth"]
    result["bandwidth"] = decode["bytes_per_step"] / milliseconds * 1e3
    return result


def gguf_file(arguments, kind):
    """Made once."""
    positions = max(arguments.contexts) + arguments.tokens + 64
    file = CACHE / f"{arguments.shape}-{kind}-{positions}.gguf"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        subprocess.run([sys.executable, HERE / "write_gguf.py", "--shape", arguments.shape, "--type", kind,
                        "--positions", str(positions), "--out", part], check=True)
        part.rename(file)
    return file


def run_llama_cpp(arguments, kind, context):
    command = [arguments.llama_bench, "-m", gguf_file(arguments, kind), "-t", arguments.threads, "-o", "json", "-r", 2]
    result = {}
    if not arguments.skip_prefill:
        rows = output_of([*command, "-p", context, "-n", 0, "-b", 2048, "-ub", 512], arguments)
        result["prefill"] = statistics.median(rows[0]["samples_ts"])
    if arguments.skip_decode:
        return result
    rows = output_of([*command, "-p", 0, "-n", arguments.tokens, "-d", context], arguments)
    result["decode"] = statistics.median(rows[0]["samples_ts"])
    return result


def run_peer(arguments, peer, context):
    if peer.startswith("llama.cpp"):
        return run_llama_cpp(arguments, peer.split("-", 1)[1], context)
    return output_of([sys.executable, HERE / "generation_peer.py", "--shape", arguments.shape, "--context", context,
                      "--threads", arguments.threads], arguments)


def measure(arguments, context):
    """{program: {figure: median over the rounds}}"""
    runs = {}
    for turn in range(arguments.rounds):
        for name in arguments.programs:
            run = run_ours if name in OURS else run_peer
            runs.setdefault(name, []).append(run(arguments, name, context))
            print(f"context {context}, round {turn + 1}: {name} {runs[name][-1]}", file=sys.stderr)
    return {name: {figure: statistics.median(row[figure] for row in rows) for figure in rows[0]}
            for name, rows in runs.items()}


def table(results):
    lines = ["| | " + " | ".join(f"{figure} {context}" for context in results for figure in ("prefill", "decode")) + " |",
             "|---" * (1 + 2 * len(results)) + "|"]
    for name in next(iter(results.values())):
        cells = [results[context][name].get(figure) for context in results for figure in ("prefill", "decode")]
        lines.append(f"| {name} | " + " | ".join("–" if cell is None else f"{cell:.0f}" for cell in cells) + " |")
    shares = [row["skipattn-bf16"]["bandwidth"] / row["skipattn-bf16"]["triad"] for row in results.values()
              if "bandwidth" in row.get("skipattn-bf16", {})]
    if shares:
        lines.append("| share of the triad, skipattn-bf16 | " + " | ".join(f" | {share:.2f}" for share in shares) + " |")
    return "\n".join(lines)


def main():
    arguments = parse_arguments()
    results = {context: measure(arguments, context) for context in arguments.contexts}
    print(json.dumps({"shape": arguments.shape, "results": results}) if arguments.json else table(results))


if __name__ == "__main__":
    main()
