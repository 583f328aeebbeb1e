"""lm-evaluation-harness gives the same scores through serve, through an exported folder, and through Transformers itself.

Three kinds of task (choosing an answer, perplexity, generating one) made of bAbI's first stories; a baseline model and one
that skips layers, trained on such stories for a moment. No network.
"""
import functools
import json
import math
import os
import pathlib
import re
import tarfile
import tempfile

from harness import main, require, run, shared_data, toml

FOLDER = tempfile.TemporaryDirectory(prefix="skipattn-test-")
os.environ.update(HF_HOME=FOLDER.name, HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
require("lm_eval", "transformers", "datasets", "tenacity", "accelerate")
import lm_eval
import torch
from lm_eval.tasks import TaskManager

from serving import serving

torch.set_num_threads(1)  # for models this small threads are only in each other's way
STORIES = "en/qa1_single-supporting-fact_{}.txt"
PLACES = ["bathroom", "bedroom", "garden", "hallway", "kitchen", "office"]
CONTEXT = 192
TASKS = {
    "choice": {"output_type": "multiple_choice", "doc_to_text": "{{story}}", "doc_to_choice": PLACES,
               "doc_to_target": "{{answer}}", "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]},
    "text": {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{story}} {{answer}}",
             "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}]},
    "answer": {"output_type": "generate_until", "doc_to_text": "{{story}}", "doc_to_target": "{{answer}}",
               "generation_kwargs": {"until": ["\n", "."], "max_gen_toks": 8, "do_sample": False},
               "filter_list": [{"name": "stripped", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
               "metric_list": [{"metric": "exact_match"}]},
}


def stories(part):
    """[{story, answer}] of bAbI's first task: what was said so far, then the question."""
    archive = shared_data("babi/babi-en-1k.tar.xz")
    with tarfile.open(archive) as files:
        lines = files.extractfile(STORIES.format(part)).read().decode("ascii").splitlines()
    found, said = [], []
    for line in lines:
        number, text = line.split(" ", 1)
        if number == "1":
            said = []
        if "\t" in text:
            question, answer, _ = text.split("\t")
            found.append({"story": "\n".join([*said, question.strip()]), "answer": answer})
        else:
            said.append(text)
    return found


@functools.cache
def make_tasks():
    """A folder of tasks for the harness, over the shortest test stories."""
    folder = pathlib.Path(FOLDER.name) / "tasks"
    folder.mkdir()
    documents = sorted(stories("test"), key=lambda item: len(item["story"]))[:40]
    (folder / "documents.jsonl").write_text("".join(json.dumps(item) + "\n" for item in documents))
    for name, task in TASKS.items():
        task = {"task": f"babi_{name}", "dataset_path": "json", "test_split": "test", "metadata": {"version": 1},
                "dataset_kwargs": {"data_files": {"test": str(folder / "documents.jsonl")}}, **task}
        (folder / f"{name}.yaml").write_text(json.dumps(task))  # YAML contains JSON
    return TaskManager(include_path=str(folder), include_defaults=False)


def train(routing, name):
    folder = pathlib.Path(FOLDER.name) / name
    text = "\n\n".join(f"{item['story']} {item['answer']}" for item in stories("train"))
    folder.mkdir()
    (folder / "text.txt").write_text(text)
    run("tokenize", folder / "text.txt", "--train-bpe", 400, "--out", folder / "text.bin", "--quiet")
    (folder / "train.toml").write_text(toml(
        model={"name": "gpt2-tiny", "routing": routing, "positions": CONTEXT},
        data={"train": str(folder / "text.bin"), "val": str(folder / "text.bin"), "context": CONTEXT},
        training={"steps": 60, "batch_size": 4, "learning_rate": 3e-3}))
    run("train", "--config", folder / "train.toml", "--out", folder / "run", "--quiet", "--threads", 2)
    return folder / "run"


def scores(kind, **arguments):
    """({task: {metric: value}}, {task: [what each story's requests were answered]})"""
    results = lm_eval.simple_evaluate(model=kind, model_args=arguments, tasks=[f"babi_{name}" for name in TASKS],
                                      task_manager=make_tasks(), bootstrap_iters=0, log_samples=True, device="cpu")
    values = {task: {metric: value for metric, value in row.items() if isinstance(value, float) and "stderr" not in metric}
              for task, row in results["results"].items()}
    return values, {task: [sample["resps"] for sample in rows] for task, rows in results["samples"].items()}


def through_server(model):
    with serving(model) as server:
        return scores("local-completions", model=server.about["model"], base_url=server.about["url"] + "/completions",
                      tokenizer=str(model), tokenizer_backend="huggingface", max_length=CONTEXT + 1, num_concurrent=4)


def through_transformers(folder):
    return scores("hf", pretrained=str(folder), trust_remote_code=True, dtype="float32", max_length=CONTEXT)


def numbers_in(answers):
    """All numbers of nested answers, in order; whatever else is there, as text."""
    flat = json.dumps(answers)
    number = r"-?\d+\.\d+(?:[eE][-+]?\d+)?"
    return [float(text) for text in re.findall(number, flat)], re.sub(number, "#", flat)


def check_same(ours, theirs):
    (values, answers), (expected_values, expected_answers) = ours, theirs
    assert len(values) == len(TASKS) and all(values.values()), values
    for task in expected_values:
        assert values[task].keys() == expected_values[task].keys(), (values, expected_values)
        for metric, value in expected_values[task].items():
            assert math.isclose(values[task][metric], value, rel_tol=1e-5), (task, metric, values, expected_values)
        numbers, rest = numbers_in(answers[task])
        expected_numbers, expected_rest = numbers_in(expected_answers[task])
        assert rest == expected_rest, (task, rest[:500], expected_rest[:500])
        assert len(numbers) == len(expected_numbers) and (numbers or task == "babi_answer")
        assert max((abs(a - b) for a, b in zip(numbers, expected_numbers)), default=0) < 2e-3, task
    print(json.dumps(values))


def test_a_baseline_model_in_transformers_itself(folder):
    model = train("baseline", "baseline")
    served = through_server(model)
    check_same(served, through_transformers(model))
    assert served[0]["babi_text"]["bits_per_byte,none"] < 1 and served[0]["babi_choice"]["acc,none"] < 1  # learned, not by heart


def test_a_model_that_skips_layers_through_its_exported_folder(folder):
    model = train("sla(distance=2, heads=2)", "sla")
    run("convert", "--from", model, "--to", folder / "exported", "--format", "hf", "--quiet")
    check_same(through_server(model), through_transformers(folder / "exported"))


if __name__ == "__main__":
    main(dict(globals()))
