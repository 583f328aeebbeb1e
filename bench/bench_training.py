#!/usr/bin/env python3
"""Training steps of skipattn beside nanoGPT and Transformers; how its cost grows; a routing beside the baseline.

    python bench/bench_training.py peers --fetch          # clones nanoGPT (pinned) into ~/.cache/skipattn, then measures
    python bench/bench_training.py peers --nanogpt FOLDER --sizes 4x1024 --peers nanogpt --rounds 1
    python bench/bench_training.py growth                 # time per token outside attention and optimizer, 1K to 64K
    python bench/bench_training.py routing --routing sla  # its step beside the baseline's, pair by pair
    python bench/bench_training.py peers --device cuda --sizes 64x1024,8x8192 --peers nanogpt-compile

GPT-2 of 124M parameters (or --model gpt2-medium, 350M), random weights and tokens, bf16, 2 threads or a CUDA card. Every
program runs in a process of its own, all in turn, several rounds; a process' figure is the median of its steps. Losses of
the first step are checked before anything counts. Prints tables, or one JSON object with --json.
"""

import argparse
import hashlib
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PEER_SCRIPT = pathlib.Path(__file__).resolve().parent / "training_peer.py"
NANOGPT = "https://github.com/karpathy/nanoGPT"
NANOGPT_COMMIT = "3adf61e154c3fe3fca428ad6bc3818b27a3b8291"
NANOGPT_MODEL = "c698f8b60129d793494de058b0dd4e318c0dcb5e"  # git's name of model.py at that commit
CACHE = pathlib.Path.home() / ".cache/skipattn/nanoGPT"
PEERS = ("nanogpt", "nanogpt-compile", "transformers")
LN_VOCABULARY = math.log(50257)
GROWTH_LENGTHS = (1024, 2048, 4096, 8192, 16384, 32768, 65536)


def parse_arguments():
    summary, examples = __doc__.split("\n", 1)
    parser = argparse.ArgumentParser(description=summary, epilog=examples,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("peers", "growth", "routing"))
    parser.add_argument("--program", default=ROOT / "build/skipattn", type=pathlib.Path)
    parser.add_argument("--sizes", default="4x1024,1x4096,1x16384", help="sequences x tokens")
    parser.add_argument("--peers", default=",".join(PEERS), help="which, of " + ", ".join(PEERS))
    parser.add_argument("--rounds", default=3, type=int, help="processes of each program")
    parser.add_argument("--steps", default=0, type=int, help="timed steps of a process; default: by size, 2 to 5")
    parser.add_argument("--warmup", type=int, help="steps before them; default: 2, on a card 5 (the graph is recorded in the 4th)")
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", choices=("gpt2", "gpt2-medium"), default="gpt2")
    parser.add_argument("--routing", default="sla")
    parser.add_argument("--compare-routing", default="baseline")
    parser.add_argument("--pairs", default=24, type=int, help="steps of each routing")
    parser.add_argument("--lengths", default=",".join(map(str, GROWTH_LENGTHS)), help="of growth")
    parser.add_argument("--recompute", action="store_true", help="growth: layers run again in the backward pass")
    parser.add_argument("--nanogpt", type=pathlib.Path, help="folder with nanoGPT's model.py")
    parser.add_argument("--fetch", action="store_true", help=f"clone {NANOGPT} at its pinned commit into {CACHE}")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not arguments.program.exists():
        parser.error(f"--program {arguments.program}: no such file; build it first")
    if arguments.warmup is None:
        arguments.warmup = 5 if arguments.device == "cuda" else 2
    arguments.sizes = [tuple(map(int, size.split("x"))) for size in arguments.sizes.split(",")]
    arguments.peers = [peer for peer in arguments.peers.split(",") if peer]
    unknown = sorted(set(arguments.peers) - set(PEERS))
    if unknown:
        parser.error(f"--peers {','.join(unknown)}: known are {', '.join(PEERS)}")
    return arguments


def find_nanogpt(arguments):
    """The folder with model.py, which must be the pinned one."""
    folder = arguments.nanogpt or CACHE
    if arguments.fetch and not (folder / "model.py").exists():
        subprocess.run(["git", "clone", "--quiet", NANOGPT, folder], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", NANOGPT_COMMIT], check=True)
    if not (folder / "model.py").exists():
        sys.exit(f"{folder}/model.py is not there: give --nanogpt FOLDER, or --fetch to clone {NANOGPT}")
    content = (folder / "model.py").read_bytes()
    if hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != NANOGPT_MODEL:
        sys.exit(f"{folder}/model.py is not that of commit {NANOGPT_COMMIT}")
    return folder


def run(command, threads):
    """Standard output as JSON and the peak resident bytes of the process; (None, reason) when it failed."""
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as output:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        output.seek(0)
        if process.returncode != 0:
            lines = errors.read().decode(errors="replace").strip().splitlines()
            return None, f"exit code {process.returncode}: {lines[-1] if lines else 'no message'}"
        return json.loads(output.read()), usage.ru_maxrss * 1024


def ours_command(arguments, *options):
    return [arguments.program, "profile", "--model", arguments.model, "--mode", "train", "--dtype", "bf16", "--json",
            "--quiet", "--device", arguments.device, "--threads", arguments.threads, "--warmup", arguments.warmup, *options]


def step_count(arguments, context):
    if arguments.device == "cuda":
        return arguments.steps or 10
    return arguments.steps or (5 if context <= 1024 else 3 if context <= 4096 else 2)


def run_ours(arguments, batch, context, *options):
    result, peak = run(ours_command(arguments, "--batch", batch, "--context", context, "--steps",
                                    step_count(arguments, context), *options), arguments.threads)
    if result is None:
        sys.exit(f"skipattn profile failed: {peak}")
    return result, peak


def check_loss(name, loss):
    if not abs(loss - LN_VOCABULARY) < 0.5:
        sys.exit(f"{name}: the first loss is {loss}, which should be near ln 50257 = {LN_VOCABULARY:.3f}")


def one_process(arguments, name, batch, context, nanogpt):
    """{"tokens_per_second", "peak_memory_bytes", …} of one program in one process, or {"failed": reason}."""
    if name == "skipattn":
        result, peak = run_ours(arguments, batch, context)
        step = result["step_ms"]["median"]
        extra = {"roofline_share": result["roofline_share"], "machine": result["machine"]}
    else:
        command = [sys.executable, PEER_SCRIPT, "--peer", name, "--batch", batch, "--context", context, "--steps",
                   step_count(arguments, context), "--warmup", arguments.warmup, "--threads", arguments.threads,
                   "--device", arguments.device, "--model", arguments.model]
        result, peak = run(command + (["--nanogpt", nanogpt] if name.startswith("nanogpt") else []), arguments.threads)
        if result is None:
            return {"failed": peak}
        step, extra = statistics.median(result["step_ms"]), {}
    check_loss(name, result["first_loss"])
    if arguments.device == "cuda":
        peak = result["peak_memory_bytes"]  # the card's
    return {"tokens_per_second": 1e3 * batch * context / step, "peak_memory_bytes": peak, **extra}


def summarise(name, runs):
    good = [one for one in runs if "failed" not in one]
    if not good:
        return {"program": name, "failed": runs[0]["failed"]}
    speeds = [one["tokens_per_second"] for one in good]
    row = {"program": name, "runs": len(good), "peak_memory_bytes": max(one["peak_memory_bytes"] for one in good),
           "tokens_per_second": {"min": min(speeds), "median": statistics.median(speeds), "max": max(speeds)}}
    if "roofline_share" in good[0]:
        row["roofline_share"] = statistics.median(one["roofline_share"] for one in good)
        row["machine"] = good[-1]["machine"]
    return row


def measure_peers(arguments):
    """A table for each size, as it is done."""
    nanogpt = find_nanogpt(arguments) if any(peer.startswith("nanogpt") for peer in arguments.peers) else None
    for batch, context in arguments.sizes:
        runs = {name: [] for name in ["skipattn", *arguments.peers]}
        for round_number in range(arguments.rounds):
            for name, done in runs.items():
                if done and "failed" in done[-1]:
                    continue  # it would fail again
                print(f"({batch}, {context}) round {round_number + 1}: {name}", file=sys.stderr, flush=True)
                done.append(one_process(arguments, name, batch, context, nanogpt))
        rows = [summarise(name, done) for name, done in runs.items()]
        ours = rows[0]
        for row in rows:
            if "failed" not in row:
                row["ours_over_it"] = ours["tokens_per_second"]["median"] / row["tokens_per_second"]["median"]
                row["our_memory_over_its"] = ours["peak_memory_bytes"] / row["peak_memory_bytes"]
        yield {"batch": batch, "context": context, "rows": rows}


def print_peers(table, number):
    print(f"\n{table['batch']} x {table['context']} tokens")
    print(f"{'program':18} {'tokens/s':>9} {'min':>7} {'max':>7} {'ours / it':>10} {'peak GiB':>9} {'ours / its':>10}")
    for row in table["rows"]:
        if "failed" in row:
            print(f"{row['program']:18} failed: {row['failed']}")
            continue
        speed = row["tokens_per_second"]
        print(f"{row['program']:18} {speed['median']:9.1f} {speed['min']:7.1f} {speed['max']:7.1f} "
              f"{row['ours_over_it']:9.2f}x {row['peak_memory_bytes'] / 2**30:9.2f} {row['our_memory_over_its']:10.2f}")
    if "roofline_share" in table["rows"][0]:
        print(f"ours: {table['rows'][0]['roofline_share']:.3f} of the roofline; {table['rows'][0]['machine']}")


def measure_growth(arguments):
    """Our time per token outside attention and optimizer at growing lengths of one sequence: one table."""
    rows = []
    for context in map(int, arguments.lengths.split(",")):
        print(f"T = {context}", file=sys.stderr, flush=True)
        result, _ = run_ours(arguments, 1, context, *(["--recompute"] if arguments.recompute else []))
        check_loss("skipattn", result["first_loss"])
        part = {"attention": 0.0, "optimizer": 0.0, "rest": 0.0}
        for operation in result["operations"]:
            kind = operation["name"].split()[0]
            part[kind if kind in part else "rest"] += operation["ms"]
        if part["attention"] == 0 or part["optimizer"] == 0:
            sys.exit("the profile does not list attention and optimizer, so what is outside them is not known")
        rows.append({"context": context, "microseconds_per_token": 1e3 * part["rest"] / context, "ms": part,
                     "peak_memory_bytes": result["peak_memory_bytes"],
                     "page_faults_per_step": result["page_faults_per_step"], "roofline_share": result["roofline_share"]})
    times = [row["microseconds_per_token"] for row in rows]
    yield {"rows": rows, "largest_over_smallest": max(times) / min(times)}


def print_growth(growth, number):
    print(f"{'T':>6} {'us/token outside':>17} {'attention ms':>13} {'optimizer ms':>13} {'rest ms':>9} {'peak GiB':>9} "
          f"{'faults/step':>12} {'roofline':>9}")
    for row in growth["rows"]:
        print(f"{row['context']:6} {row['microseconds_per_token']:17.1f} {row['ms']['attention']:13.1f} "
              f"{row['ms']['optimizer']:13.1f} {row['ms']['rest']:9.1f} {row['peak_memory_bytes'] / 2**30:9.2f} "
              f"{row['page_faults_per_step'] or 0:12.0f} {row['roofline_share']:9.3f}")
    print(f"largest over smallest: {growth['largest_over_smallest']:.3f}")


def measure_routing(arguments):
    """A table for each size, as it is done."""
    for batch, context in arguments.sizes:
        print(f"({batch}, {context})", file=sys.stderr, flush=True)
        result, _ = run_ours(arguments, batch, context, "--routing", arguments.routing, "--compare-routing",
                             arguments.compare_routing, "--pairs", arguments.pairs)
        check_loss("skipattn", result["first_loss"])
        comparison = result["comparison"]
        yield {"batch": batch, "context": context, **comparison, "routing": result["routing"],
               "compared_routing": comparison["routing"], "machine": result["machine"]}


def print_routing(table, number):
    if number == 0:
        print(f"{'size':>10} {'step ratio':>11} {'95 % interval':>17} {'FLOPs predict':>14} {'memory ratio':>13}   "
              "routing over routing")
    low, high = table["step_ratio_ci95"] or (math.nan, math.nan)
    memory = table["peak_memory_bytes"] / table["compared_peak_memory_bytes"]
    print(f"{table['batch']:>4}x{table['context']:<5} {table['step_ratio']:11.4f} {low:8.4f} …{high:7.4f} "
          f"{table['predicted_flops_ratio']:14.4f} {memory:13.4f}   {table['routing']} over {table['compared_routing']}")


def machine():
    """The processor's name and how many there are (a card's name is in what gpu_check.sh keeps)."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"processor": name, "processors": os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}


def main():
    arguments = parse_arguments()
    measure, show = {"peers": (measure_peers, print_peers), "growth": (measure_growth, print_growth),
                     "routing": (measure_routing, print_routing)}[arguments.what]
    tables = []
    for table in measure(arguments):
        if not arguments.json:
            show(table, len(tables))
            sys.stdout.flush()
        tables.append(table)
    if arguments.json:
        print(json.dumps({"bench": "training", "what": arguments.what, "machine": machine(), "threads": arguments.threads,
                          "result": tables[0] if arguments.what == "growth" else tables}))


if __name__ == "__main__":
    main()
