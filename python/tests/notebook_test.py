"""The tutorial notebook runs from top to bottom in a kernel of its own, and its outputs are what it was saved with."""
import os
import pathlib

import harness

harness.require("nbclient", "nbformat", "ipykernel")
import nbclient
import nbformat

NOTEBOOK = pathlib.Path(os.environ["SKIPATTN_SOURCE_DIR"]) / "python/examples/tutorial.ipynb"


def texts(notebook):
    """What every code cell prints, as text."""
    printed = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            parts = [output.get("text", "") or "".join(output.get("data", {}).get("text/plain", ""))
                     for output in cell.outputs]
            printed.append("".join(parts).strip())
    return printed


def test_the_tutorial_prints_what_it_says(folder):
    saved = nbformat.read(NOTEBOOK, as_version=4)
    fresh = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(fresh, timeout=300, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(folder)}}).execute()
    if os.environ.get("SKIPATTN_SAVE_NOTEBOOK") == "1":
        nbformat.write(fresh, NOTEBOOK)
        saved = fresh
    assert texts(fresh) == texts(saved), [pair for pair in zip(texts(fresh), texts(saved)) if pair[0] != pair[1]]
    assert any("text/html" in str(cell.outputs) for cell in fresh.cells if cell.cell_type == "code")


if __name__ == "__main__":
    harness.main(globals())
