"""A headless Chromium, driven through its DevTools socket. Needs Debian's chromium and python3-websockets."""

import asyncio
import base64
import json
import pathlib
import shutil
import subprocess
import tempfile

import websockets

PROGRAMS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


def program():
    """Returns the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Page:
    """One tab. Everything that it requests, logs or throws is recorded."""

    def __init__(self, socket):
        self.socket = socket
        self.number = 0
        self.requests = []
        self.problems = []

    async def call(self, method, **parameters):
        self.number += 1
        await self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        wanted = self.number
        while True:
            answer = json.loads(await self.socket.recv())
            if answer.get("id") == wanted:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.note(answer)

    def note(self, event):
        method, parameters = event.get("method"), event.get("params")
        if method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.problems.append(str([a.get("value") for a in parameters["args"]]))
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded":
            self.problems.append(parameters["entry"]["text"])

    async def eval(self, expression):
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    async def open(self, path, width=1280, height=800, dark=False, calm=True):
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                        mobile=width < 500)
        await self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}])
        await self.call("Page.navigate", url="about:blank")
        self.requests.clear()
        self.problems.clear()
        await self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        await self.until("document.readyState === 'complete' && 'wakefulTrace' in globalThis")
        await self.frame()

    async def until(self, condition):
        """Waits for a condition, at most half a minute."""
        for _ in range(200):
            if await self.eval(condition):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {condition}; {self.problems}")

    async def frame(self):
        """Waits until what was asked for is drawn."""
        await self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    async def key(self, key, shift=False):
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        common = {"key": key, "modifiers": 8 if shift else 0, "windowsVirtualKeyCode": KEYS.get(key, 0)}
        await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        await self.frame()

    async def type(self, text):
        await self.call("Input.insertText", text=text)
        await self.frame()

    async def mouse(self, kind, x, y, **more):
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def click(self, x, y):
        await self.mouse("mousePressed", x, y, button="left", clickCount=1)
        await self.mouse("mouseReleased", x, y, button="left", clickCount=1)
        await self.frame()

    async def press(self, selector):
        """Clicks the middle of an element."""
        await self.eval(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        box = await self.eval(
            f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        await self.click(*box)

    async def load_times(self, path):
        """Opens a page. Returns the milliseconds until it is loaded, and those of drawing it again."""
        await self.open(path)
        return await self.eval(
            "(() => { const load = performance.getEntriesByType('navigation')[0]; const t = performance.now(); draw();"
            " return [load.domContentLoadedEventEnd, performance.now() - t]; })()")

    async def picture(self, path):
        shot = await self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(shot["data"]))


async def run(body):
    """Starts a browser, calls `body` with a page, and ends the browser."""
    with tempfile.TemporaryDirectory(prefix="wakeful-trace-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
             "--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = await find_address(pathlib.Path(profile, "DevToolsActivePort"), process)
            async with websockets.connect(address, max_size=None, ping_interval=None) as socket:
                browser = Page(socket)
                target = await browser.call("Target.createTarget", url="about:blank")
            page = address.rsplit("/devtools/", 1)[0] + "/devtools/page/" + target["targetId"]
            async with websockets.connect(page, max_size=None, ping_interval=None) as socket:
                await body(Page(socket))
        finally:
            process.terminate()
            process.wait(20)


async def find_address(port, process):
    """Returns the address of the browser's socket, which the browser writes into its profile."""
    for _ in range(200):
        assert process.poll() is None, "the browser has ended"
        lines = port.read_text().split() if port.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await asyncio.sleep(0.05)
    raise AssertionError("the browser opened no socket")
