"""Shows a report in a real headless Chromium, in light and dark and at a phone's width.

usage: report_browser_test.py REPORT.html SCREENSHOT_FOLDER
Fails when the page asks for anything from elsewhere, prints an error to the console, lacks a variant, or draws a chart of
no size. Exits with 77 (skipped) where no Chromium is installed.
"""
import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def chromium(*arguments, page):
    """Runs the browser on a page; (standard output, standard error)."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
             "--enable-logging=stderr", "--virtual-time-budget=3000", *arguments, page.as_uri()],
            capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def check_page(page):
    text = page.read_text()
    outside = [url for url in re.findall(r'(?:src|href)\s*=\s*["\']([^"\']+)', text) if not url.startswith(("#", "data:"))]
    assert not outside, f"the page refers to {outside}"
    dom, log = chromium("--dump-dom", page=page)
    errors = [line for line in log.splitlines() if "CONSOLE" in line]
    assert not errors, errors
    names = set(re.findall(r'<th scope="row">([^<]+)<span class="routing">', text))
    assert len(names) >= 2, "the page has no table of variants"
    for name in names:
        assert dom.count(name) >= 3, f"{html.unescape(name)} is not shown in the table, a verdict and a chart"
    charts = re.findall(r"<svg\b[^>]*>", dom)
    assert len(charts) >= 6, f"only {len(charts)} charts"


def measure_charts(page, folder):
    """Sizes as the browser lays them out, read through a copy of the page that writes them into its title."""
    text = page.read_text()
    probe = ("<script>addEventListener('load',()=>{const b=[...document.querySelectorAll('svg')].map(s=>s.getBoundingClientRect());"
             "document.title='charts '+b.filter(r=>r.width>1&&r.height>1).length+' of '+b.length+' wide '"
             "+document.documentElement.scrollWidth;})</script>")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    copy = folder / "probe.html"
    copy.write_text(text.replace("</body>", probe + "</body>"))
    for width in (1280, 390):
        dom, _ = chromium("--dump-dom", f"--window-size={width},900", page=copy)
        title = re.search(r"<title>charts (\d+) of (\d+) wide (\d+)</title>", dom)
        assert title, "the page's script did not run"
        drawn, charts, wide = map(int, title.groups())
        # Charts inside closed <details> have no size; the open ones must.
        assert drawn >= 6, f"{drawn} of {charts} charts have a size at {width} pixels"
        assert wide <= max(width, 500) + 2, f"at {width} pixels the page is {wide} wide"
    copy.unlink()


def take_screenshots(page, folder):
    for name, arguments in {"light": ["--window-size=1280,2400"],
                            "dark": ["--window-size=1280,2400", "--blink-settings=preferredColorScheme=0"],
                            "phone": ["--window-size=500,2400"]}.items():
        target = folder / f"{name}.png"
        chromium(f"--screenshot={target}", *arguments, page=page)
        assert target.stat().st_size > 20000, f"{target} is nearly empty"
    assert (folder / "light.png").read_bytes() != (folder / "dark.png").read_bytes(), "dark looks like light"


if __name__ == "__main__":
    BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if BROWSER is None:
        print("skipped: no Chromium is installed, so the report was not looked at")
        sys.exit(SKIPPED)
    report, shots = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    shots.mkdir(parents=True, exist_ok=True)
    check_page(report)
    measure_charts(report, shots.resolve())
    take_screenshots(report, shots.resolve())
    print(f"the report shows in light and dark and at a phone's width; pictures in {shots}")
