"""Opens pages of symopt in headless Chromium and fails where one is not as it promises to be.

    check.py SYMOPT FOLDER

The searches and the pages are made in FOLDER, which is emptied first; screenshots are left there. axe-core 4.14.1 (MPL-2.0), the
minified build of its npm package, lies beside this file.
"""

import csv
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = (390, 820, 1280)
AXE = Path(__file__).with_name("axe.min.js").read_text()
# Limits on the weight of a page of the default search, and on the time until one of 10,000
# evaluations is there.
MOST_BYTES = 1_200_000
MOST_SECONDS = 3.0
HOSTILE_STORE = "<script>alert(1)<img src=x onerror=alert(3)>"

symopt, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
faults: list[str] = []


def expect(holds: bool, fault: str) -> None:
    if not holds:
        faults.append(fault)
        print(f"fault: {fault}", file=sys.stderr)


def run(*words: str) -> None:
    subprocess.run([str(symopt), *words], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=240)


def made() -> list[Path]:
    """Pages of a small search with hostile names, and of one with 10,000 evaluations, hardly any of them stopped."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    doc = '"""Adam. </script><script>alert(2)</script> <!-- &lt; ]]>"""'
    source = "def adam(w, g, m, v, lr):\n  m = interp(g, m, 0.9)\n  g2 = square(g)\n  v = interp(g2, v, 0.99)\n  s = sqrt(v)\n  update = m / s\n"
    (folder / "hostile.opt").write_text(f"{doc}\n{source}  update = update * lr\n  return update, m, v\n")
    config = 'suite = "smoke"\ninitial = "hostile.opt"\n[evolution]\npopulation = 50\n'
    (folder / "hostile.toml").write_text(config)
    store = HOSTILE_STORE
    run("search", "--config", "hostile.toml", "--programs", "3000", "--held-out", "0", "--store", store)
    run("report", store, "--seeds", "2", "--validate", "smoke", "--sample", "6", "--html", "hostile.html")
    run("report", store, "--seeds", "2", "--validate", "smoke", "--sample", "6", "--html", "again.html")
    expect((folder / "hostile.html").read_bytes() == (folder / "again.html").read_bytes(), "the same store gives other bytes")
    many = "suite = \"smoke\"\n[hurdle]\nquantile = 0.0\n"
    (folder / "many.toml").write_text(many)
    run("search", "--config", "many.toml", "--programs", "0", "--evaluations", "10000", "--held-out", "0", "--store", "many")
    run("report", "many", "--seeds", "2", "--html", "many.html")
    size = (folder / "many.html").stat().st_size
    print(f"the page of a search with 10,000 evaluations holds {size:,} bytes")
    expect(size < MOST_BYTES, f"the page of a search with 10,000 evaluations holds {size:,} bytes")
    run("inspect", "hostile.opt", "--html", "program.html")
    return [folder / "hostile.html", folder / "many.html", folder / "program.html"]


def results() -> list[Path]:
    """Pages of what other commands find, each in its smallest size, and of the studies."""
    small = Path(__file__).resolve().parents[3] / "cli" / "tests" / "common"
    # A store of the live page has the other such name.
    hostile = "<script>alert(4)"
    shutil.copy(folder / "hostile.opt", folder / hostile)
    brief = ("--seeds", "2", "--tuning-seeds", "1")
    run("tasks", "--landscape", "smoke", "--program", hostile, "--program", "lion", *brief, "--budget", "24", "--html", "landscape.html")
    run("report", HOSTILE_STORE, "--seeds", "2", "--speed", "--html", "speed.html")
    run("funnel", HOSTILE_STORE, "--through", "smoke", "--keep", "3", *brief, "-o", "funnel", "--html", "funnel.html")
    run("discover", "--protocol", str(small / "discovery.toml"), "-o", "discover<b>", "--html", "discover.html")
    run("rediscover", "--protocol", str(small / "rediscovery.toml"), "--seeds", "2", "-o", "rediscover<b>", "--html", "rediscover.html")
    run("conformance", "--no-exports", "--program", "lion", "--program", "muon", "--html", "conformance.html")
    run("bench", "--program", "lion", "--size", "4Ki", "--threads", "1", "--seconds", "0.01", "--no-c", "--html", "bench.html")
    run("study", "lr-decay", "--suite", "smoke", *brief, "--lr", "0.01", "--lr", "0.1", "--decay", "0.1", "--program", hostile, "--program", "adamw", "-o", "map")
    run("study", "lion", "--small", "--suite", "smoke", "-o", "studies")
    shutil.copy(folder / "map" / "page.html", folder / "study-map.html")
    shutil.copy(folder / "studies" / "page.html", folder / "studies.html")
    names = ("landscape", "speed", "funnel", "discover", "rediscover", "conformance", "bench", "study-map", "studies")
    return [folder / f"{name}.html" for name in names]


def wait(page: Page, condition: str, seconds: float = 20.0) -> None:
    """Waits until an expression holds. The page's policy forbids to have it polled there."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"{page.url}: not within {seconds} s: {condition}")
        time.sleep(0.02)


def drawn(page: Page) -> None:
    wait(page, "document.documentElement.dataset.drawn !== undefined")


def open_page(browser, path: Path, width: int, scheme: str) -> Page:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, reduced_motion="reduce")
    page = context.new_page()
    name = f"{path.name} at {width}"
    page.on("console", lambda message: expect(False, f"{name}: the console says {message.text[:300]}"))
    page.on("pageerror", lambda error: expect(False, f"{name}: {str(error)[:300]}"))
    page.on("dialog", lambda dialog: (expect(False, f"{name}: a dialog, {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: expect(request.url in (path.as_uri(), "data:,"), f"{name}: asks for {request.url[:200]}"))
    start = time.monotonic()
    page.goto(path.as_uri())
    drawn(page)
    seconds = time.monotonic() - start
    print(f"{name}, {scheme}: drawn after {seconds:.2f} s")
    expect(seconds < MOST_SECONDS, f"{name}: drawn only after {seconds:.1f} s")
    return page


def check_looks(browser, path: Path, prints: bool = True) -> None:
    for width in WIDTHS:
        scheme = "dark" if width == WIDTHS[1] else "light"
        page = open_page(browser, path, width, scheme)
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        expect(wider <= 0, f"{path.name} at {width}: {wider} pixels wider than the window")
        plots = page.evaluate("[...document.querySelectorAll('.plot')].map((plot) => plot.querySelectorAll('svg').length)")
        expect(all(count == 1 for count in plots), f"{path.name}: figures that are not drawn: {plots}")
        page.screenshot(path=folder / f"{path.stem}-{width}-{scheme}.png", full_page=True)
        page.evaluate(AXE)
        found = page.evaluate("axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((n) => n.html)]))")
        expect(not found, f"{path.name} at {width}, {scheme}: axe finds {found}")
        if width == WIDTHS[-1]:
            # Everything can be reached by the keyboard.
            page.keyboard.press("Tab")
            expect(page.evaluate("document.activeElement.className") == "skip", f"{path.name}: the first stop is not the link to the content")
            if prints:
                page.pdf(path=folder / f"{path.stem}.pdf")
        page.context.close()


class Served:
    """`symopt serve` on a port."""

    def __init__(self, port: int, *stores: str) -> None:
        words = [str(symopt), "serve", *stores, "--port", str(port)]
        self.process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.says = self.process.stdout.readline() if self.process.stdout else ""

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=20)


def children(store: str) -> list[str]:
    """The children of a journal that were evaluated, in order."""
    run("top", store, "--all", "--csv", "all.csv")
    with (folder / "all.csv").open(newline="") as file:
        return [row["child"] for row in csv.DictReader(file) if row["child"]]


def check_live(browser) -> None:
    """The page of a search that is killed twice and resumed, while its server is killed once too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    first = ["search", "--config", "hostile.toml", "--programs", "0", "--held-out", "0", "--threads", "1"]
    names = ("<script>alert(1)", "a second one")
    run(*first, "--seed", "7", "--evaluations", "40", "--store", names[1])

    def searching(*words: str) -> subprocess.Popen:
        return subprocess.Popen([str(symopt), *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    search = searching(*first, "--evaluations", "5000", "--store", names[0])
    manifest = folder / names[0] / "symopt-store.json"
    while not manifest.exists():
        time.sleep(0.05)
    served = Served(port, *names)
    expect(url in served.says, f"serve says {served.says!r}")
    entries = "(store) => symopt.stores[store].entries.filter(([kind, child]) => kind === 'evaluation' && child !== null).map(([, child]) => String(child))"
    pages = []
    lost = []  # while there is no server, a browser says so on the console
    for width in WIDTHS:
        scheme = "dark" if width == WIDTHS[1] else "light"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        page = context.new_page()
        page.on("console", lambda message: lost.append(message.text))
        page.on("pageerror", lambda error: expect(False, f"live: {str(error)[:300]}"))
        page.on("dialog", lambda dialog: (expect(False, f"live: a dialog, {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: expect(request.url.startswith((url, "data:,")), f"live: asks for {request.url[:200]}"))
        page.goto(url)
        pages.append((width, scheme, page))
    count = "symopt.stores[0]?.entries.length ?? 0"
    for least in (60, 1500):
        for _, _, page in pages:
            wait(page, f"({count}) >= {least}", 60)
        search.kill()
        search.wait()
        if least == 60:
            wait(pages[0][2], "document.getElementById('verdict').textContent.includes('interrupted or killed')")
        else:
            expect(not lost, f"live: the console says {lost[:3]}")
            served.end(signal.SIGKILL)
            wait(pages[0][2], "document.getElementById('connection').textContent.includes('lost')")
        search = searching("resume", names[0], "--held-out", "0", "--threads", "1")
        if least != 60:
            served = Served(port, *names)
    search.wait(timeout=240)
    expected = [children(name) for name in names]
    expect(len(expected[0]) >= 5000, f"live: the search has {len(expected[0])} evaluations")
    for width, scheme, page in pages:
        wait(page, "symopt.stores[0].status?.state === 'ended' && symopt.stores[0].status.hall.entries === symopt.stores[0].entries.length", 60)
        wait(page, "document.getElementById('verdict').textContent.includes('ended')")
        for number, name in enumerate(names):
            found = page.evaluate(f"({entries})({number})")
            expect(sorted(found) == sorted(expected[number]), f"live at {width}: {len(found)} of {len(expected[number])} evaluations of {name}")
            expect(len(set(found)) == len(found), f"live at {width}: an evaluation is there twice")
        expect(names[0] in page.locator("#verdict").inner_text(), "live: the name of a store is not there as it is")
        expect("</script>" not in page.locator("#best-text").inner_html(), "live: a program is not text")
        expect(page.locator("#fitness svg").count() == 1 and page.locator("#hall tbody tr").count() > 0, "live: nothing is drawn")
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        expect(wider <= 0, f"live at {width}: {wider} pixels wider than the window")
        page.screenshot(path=folder / f"live-{width}-{scheme}.png", full_page=True)
        page.evaluate(AXE)
        violations = page.evaluate("axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((n) => n.html)]))")
        expect(not violations, f"live at {width}, {scheme}: axe finds {violations}")
    page = pages[-1][2]
    page.keyboard.press("Tab")
    expect(page.evaluate("document.activeElement.className") == "skip", "live: the first stop is not the link to the content")
    page.locator("#which").select_option("1")
    wait(page, f"document.getElementById('verdict').textContent.startsWith('{names[1]}')")
    foreign = [text for text in lost if "ERR_CONNECTION_REFUSED" not in text and "ERR_INCOMPLETE_CHUNKED_ENCODING" not in text and "ERR_CONNECTION_RESET" not in text]
    expect(not foreign, f"live: the console says {foreign[:3]}")
    code = served.end(signal.SIGINT)
    expect(code == 0, f"serve ends with {code}")
    wait(page, "document.getElementById('connection').textContent.includes('has ended')")
    for _, _, page in pages:
        page.context.close()


def check_table(browser, path: Path, least: int) -> None:
    page = open_page(browser, path, 1280, "light")
    rows = page.locator("#rows-1")
    count = rows.locator(".count")
    total = int(re.search(r"of ([\d,]+)$", count.inner_text()).group(1).replace(",", ""))
    expect(total >= least, f"{path.name}: {total} rows in place of {least}")
    column = "Array.from(document.querySelectorAll('#rows-1 tbody tr'), (row) => Number(row.cells[1].textContent.replace('−', '-').replaceAll(',', '')))"
    heading = rows.locator("th", has_text="fitness")
    for direction in ("descending", "ascending"):
        heading.locator("button").press("Enter")
        expect(heading.get_attribute("aria-sort") == direction, f"{path.name}: not sorted {direction}")
        values = page.evaluate(column)
        expect(values == sorted(values, reverse=direction == "descending"), f"{path.name}: {direction} is {values[:5]}")
    rows.locator("input").fill("front=yes")
    wait(page, "document.querySelector('#rows-1 .count').textContent.includes('match')")
    expect(page.locator("#rows-1 tbody tr").count() >= 1, f"{path.name}: nothing is on the front")
    # The figure shows what the table shows, and marks what is chosen.
    rows.locator("tbody .link").first.click()
    expect(page.locator("#rows-1 tr.chosen").count() == 1, f"{path.name}: nothing is chosen")
    rows.locator("input").fill("no such program")
    wait(page, "document.querySelector('#rows-1 .count').textContent.startsWith('none')")
    page.context.close()


def check_text(browser, path: Path, selector: str, text: str) -> None:
    page = open_page(browser, path, 1280, "light")
    found = page.locator(selector).inner_text()
    expect(text in found, f"{path.name}: {text} is not there as it is: {found[:300]}")
    expect(page.locator("img").count() == 0, f"{path.name}: an image that nobody drew")
    page.context.close()


small, many, program = made()
begin = time.monotonic()
others = results()
print(f"pages of results made in {time.monotonic() - begin:.1f} s")
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    check_looks(browser, small)
    check_looks(browser, many)
    check_looks(browser, program)
    begin = time.monotonic()
    for path in others:
        check_looks(browser, path, prints=False)
    print(f"pages of results: {time.monotonic() - begin:.1f} s")
    check_text(browser, folder / "landscape.html", "main", "<script>alert(4)")
    check_text(browser, folder / "study-map.html", "main", "<script>alert(4)")
    check_text(browser, folder / "funnel.html", "main", HOSTILE_STORE)
    check_text(browser, small, "h1", "<script>alert(1)<img src=x onerror=alert(3)>")
    check_text(browser, program, "main", "</script><script>alert(2)</script>")
    check_table(browser, many, 4_000)
    begin = time.monotonic()
    check_live(browser)
    print(f"live: {time.monotonic() - begin:.1f} s")
    browser.close()
print(f"{len(faults)} faults")
sys.exit(1 if faults else 0)
