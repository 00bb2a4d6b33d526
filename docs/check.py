"""Check the pages that `make book` has written: python docs/check.py [--browser]

Without a browser: every link within the book leads somewhere, every figure is there and has an alternative text, and
nothing is loaded from elsewhere. With --browser, in a headless Chromium as wide as a phone: every figure and formula
shows, and no page is wider than the screen.
"""

import html.parser
import http.server
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

PAGES = Path(__file__).parents[1] / "docs" / "_build" / "html"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
)
# A page of its own that opens every page of the book in a frame, and writes down what it finds there.
LOOK = """<!doctype html><body><script>
(async () => {
  const found = {};
  for (const page of PAGES) {
    const frame = document.createElement("iframe");
    frame.style = "width: 390px; height: 844px; border: 0";
    frame.src = page;
    document.body.append(frame);
    await new Promise(done => frame.onload = done);
    const inside = frame.contentDocument, shows = x => x.getBoundingClientRect().width > 0;
    const images = [...inside.querySelectorAll("article img:not(.only-dark)")];
    const formulas = [...inside.querySelectorAll(".math")];
    await frame.contentWindow.MathJax?.startup.promise;
    images.forEach(image => image.loading = "eager");
    await Promise.all(images.filter(image => !image.complete).map(
      image => new Promise(done => image.onload = image.onerror = done)));
    found[page] = {
      wider: inside.documentElement.scrollWidth - frame.contentWindow.innerWidth,
      figures: images.length, hidden_figures: images.filter(image => !image.naturalWidth || !shows(image)).length,
      formulas: formulas.length,
      hidden_formulas: formulas.filter(x => !x.querySelector("mjx-container") || x.querySelector("mjx-merror")).length,
    };
    frame.remove();
  }
  await fetch("/", {method: "POST", body: JSON.stringify(found)});
})();
</script>"""


class Page(html.parser.HTMLParser):
    """The ids of a page, its links, what it loads, and its figures."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loaded, self.figures = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        if tag == "img":
            self.figures.append(attributes)
        if tag in ("img", "script", "iframe") and "src" in attributes:
            self.loaded.append(attributes["src"])
        if tag == "link":
            self.loaded.append(attributes["href"])


def problems_in_files():
    pages = {path: Page(path) for path in PAGES.rglob("*.html")}
    for path, page in pages.items():
        name = path.relative_to(PAGES)
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded:
                    yield f"{name}: loads {link} from elsewhere"
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not to.is_file():
                yield f"{name}: the link {link} leads nowhere"
            elif parts.fragment and unquote(parts.fragment) not in pages[to].ids:
                yield f"{name}: the link {link} names a place that is not on its page"
        for figure in page.figures:
            if not figure.get("alt"):
                yield f"{name}: the figure {figure.get('src')} has no alternative text"


def problems_in_browser():
    pages = sorted(str(path.relative_to(PAGES)) for path in PAGES.rglob("*.html"))
    look = PAGES / "look.html"
    look.write_text(LOOK.replace("PAGES", json.dumps(pages)), encoding="utf-8")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server, tempfile.TemporaryDirectory() as home:
        server.found, server.has_found = None, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/look.html"
        browser = subprocess.Popen(
            ["chromium", *FLAGS.split(), f"--user-data-dir={home}", address], stderr=subprocess.DEVNULL
        )
        server.has_found.wait(timeout=60)
        browser.terminate()
        browser.wait()
        look.unlink()
        server.shutdown()
    if not server.found:
        raise TimeoutError("the browser has not looked at all pages within a minute")
    for page, facts in server.found.items():
        print(page, facts)
        yield from (f"{page}: {what} {facts[what]}" for what in ("hidden_figures", "hidden_formulas") if facts[what])
        if facts["wider"] > 0:
            yield f"{page}: {facts['wider']} pixels wider than a phone"


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves the book, and takes what the browser has found."""

    def __init__(self, *arguments):
        super().__init__(*arguments, directory=PAGES)

    def do_POST(self):
        self.server.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.has_found.set()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    problems = list(problems_in_files())
    if "--browser" in sys.argv[1:]:
        problems += problems_in_browser()
    print("\n".join(problems) or f"{len(list(PAGES.rglob('*.html')))} pages, nothing wrong")
    sys.exit(bool(problems))
