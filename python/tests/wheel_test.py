"""`pip install` of the repository: with the library (the one that is built here, to save the time), and without a compiler."""
import os
import pathlib
import subprocess
import sys

import harness

harness.require("pip", "scikit_build_core")
SOURCE = pathlib.Path(os.environ["SKIPATTN_SOURCE_DIR"])


def install(folder, *settings, **environment):
    """Into a folder of its own, as from the network but with the torch and the build tools that are here."""
    target = folder / "site"
    done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                           "--no-build-isolation", "--no-index", "--target", target, *settings, SOURCE],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "", **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def run_python(target, code):
    """Runs code with the installed package alone; returns (standard output, standard error)."""
    environment = {key: value for key, value in os.environ.items() if key != "SKIPATTN_OPERATOR"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=target.parent,
                          env={**environment, "PYTHONPATH": str(target)})
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


ATTEND = """
import skipattn, torch
assert skipattn.__file__.startswith({site!r}), skipattn.__file__
query, key = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 8)
routes = [[(0, 0, 0, 0)], [(0, 1, 0, 1)]]
output = skipattn.routed_attention(query, [key], routes)
torch.testing.assert_close(output, skipattn.routed_attention_reference(query, [key], routes)[0])
print(skipattn.has_compiled_operator(), skipattn.Routing.parse("sla", layers=4, kv_heads=4))
"""


def test_the_wheel_has_the_operator_and_the_types(folder):
    target = install(folder, f"-Ccmake.define.SKIPATTN_OPERATOR={os.environ['SKIPATTN_OPERATOR']}")
    names = {path.name for path in (target / "skipattn").iterdir()}
    assert {"libskipattn_operator.so", "libskipattn_operator.json", "py.typed", "routing"} <= names, names
    assert {path.name for path in target.iterdir()} - {"bin"} == {"skipattn", "skipattn-0.1.0.dist-info"}
    wheel = (target / "skipattn-0.1.0.dist-info" / "WHEEL").read_text()
    assert "Tag: py3-none-linux_" in wheel, wheel
    assert "Requires-Dist: torch>=2.11" in (target / "skipattn-0.1.0.dist-info" / "METADATA").read_text()
    out, err = run_python(target, ATTEND.format(site=str(target)))
    assert out == "True sla(distance=3, heads=3, keys=skip, values=skip, which=last)\n" and "Warning" not in err, (out, err)


def test_without_a_compiler_it_installs_and_warns_once(folder):
    target = install(folder, CXX="/nowhere/c++")
    assert not list(target.glob("skipattn/*.so"))
    out, err = run_python(target, ATTEND.format(site=str(target)))
    assert out.startswith("False sla(") and err.count("RuntimeWarning") == 1, (out, err)


if __name__ == "__main__":
    harness.main(globals())
