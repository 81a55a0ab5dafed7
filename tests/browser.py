"""A headless Chromium that tests drive through its debugging pipe: no driver, no port, no web socket."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
PATIENCE = 60  # seconds for an answer
LISTEN = """
window.complaints = [];
addEventListener("error", (event) => complaints.push(event.message));
addEventListener("unhandledrejection", (event) => complaints.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => complaints.push(event.violatedDirective));
for (const kind of ["error", "warn"]) console[kind] = (...words) => complaints.push(words.join(" "));
"""


class Browser:
    def __init__(self, profile: Path):
        reads, self.writes = os.pipe()
        self.reads, writes = os.pipe()
        flags = f"--headless --no-sandbox --disable-gpu --remote-debugging-pipe --user-data-dir={profile}"
        command = ["bash", "-c", f'exec "$0" {flags} about:blank 3<&{reads} 4>&{writes}', CHROMIUM]
        nowhere = subprocess.DEVNULL
        self.process = subprocess.Popen(command, pass_fds=(reads, writes), stdout=nowhere, stderr=nowhere)
        for descriptor in (reads, writes):
            os.close(descriptor)
        self.numbers, self.received = itertools.count(1), b""

    def close(self) -> None:
        os.close(self.writes)  # it ends with its pipe
        self.process.wait(PATIENCE)
        os.close(self.reads)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        asked = {"id": number, "method": method, "params": parameters}
        os.write(
            self.writes, json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0"
        )
        while (said := self.message()).get("id") != number:
            pass
        assert "error" not in said, (method, said)
        return said["result"]

    def message(self) -> dict[str, Any]:
        while b"\0" not in self.received:
            assert select.select([self.reads], [], [], PATIENCE)[0], "the browser does not answer"
            more = os.read(self.reads, 2**20)
            assert more, "the browser is gone"
            self.received += more
        message, _, self.received = self.received.partition(b"\0")
        return json.loads(message)

    def page(self, width: int = 1280, height: int = 900, dark: bool = False) -> "Page":
        return Page(self, width, height, dark)


class Page:
    def __init__(self, browser: Browser, width: int, height: int, dark: bool):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        self.call("Page.enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def open(self, address: str) -> None:
        failed = self.call("Page.navigate", url=address).get("errorText")
        assert not failed, failed
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def close(self) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)

    def does(self, script: str) -> Any:
        """What an expression in the page's words, or the promise that it gives, comes to."""
        how = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        done = self.call("Runtime.evaluate", expression=script, **how)
        assert "exceptionDetails" not in done, (script, done)
        return done["result"].get("value")

    def until(self, condition: str) -> None:
        """Waits, in the page's own time, until an expression is true."""
        self.does(
            f"""new Promise((found, lost) => {{
              const end = Date.now() + {PATIENCE * 500};
              const look = () => ({condition}) ? found() : Date.now() > end ? lost(Error("waited in vain"))
                : setTimeout(look, 10);
              look();
            }})"""
        )

    def press(self, key: str, modifiers: int = 0) -> None:
        """A key as a person strikes it; a modifier of 2 is Control."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        code = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, " ": 32}.get(key, 0)
        about = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def choose_file(self, selector: str, path: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(
            base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
        )
