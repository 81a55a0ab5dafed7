"""Against a server on this machine that does what servers should not."""

import bz2
import gzip
import hashlib
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mlbench.data.download import download, raw_checksum
from mlbench.errors import UserError

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
QUICK = {"connect": 0.5, "read": 0.3, "stall": 0.3}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers a path by the function set for it; notes each request as (path, Range)."""

    daemon_threads = True

    def __init__(self):
        self.answers, self.asked, self.over = {}, [], threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path, answer=None):
        if answer:
            self.answers[path] = answer
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        with suppress(BrokenPipeError, ConnectionResetError):
            self.server.answers[self.path](self)

    def reply(self, status=200, body=b"", **headers):
        """`headers` with - for _; the length is that of the body unless said otherwise."""
        self.send_response(status)
        named = {"Content-Length": len(body)} | {
            key.replace("_", "-"): value for key, value in headers.items()
        }
        for key, value in named.items():
            if value is not None:
                self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


def serves(content, whole=True, limit=None):
    """An honest server. Not `whole`: it honours Range; `limit`: it breaks off after so many bytes."""

    def answer(handler):
        start = 0 if whole else int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        if start and start >= len(content):
            return handler.reply(416)
        body = content[start:]
        headers = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        sent = body if limit is None else body[:limit]
        handler.reply(206 if start else 200, sent, Content_Length=len(body), **headers)

    return answer


def fails(status):
    return lambda handler: handler.reply(status)


@contextmanager
def running():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    with running() as server:
        yield server


def fetch(to, *urls, content=CONTENT, **more):
    return download(urls, to, sha256=sha256(content), bytes_=len(content), **(QUICK | more))


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_brings_the_file_and_says_how_far_it_is(server, tmp_path):
    seen = []
    to = tmp_path / "deep" / "file.arff"
    path = fetch(to, server.url("/a", serves(CONTENT)), progress=lambda *now: seen.append(now))
    assert path == to and path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and seen == sorted(seen)
    assert leftovers(to.parent) == ["file.arff"]


@pytest.mark.parametrize(("compress", "suffix"), [(gzip.compress, ".gz"), (bz2.compress, ".bz2")])
def test_compressed_content_stays_so_and_is_checked_uncompressed(server, tmp_path, compress, suffix):
    path = fetch(tmp_path / "file.arff", server.url("/a", serves(compress(CONTENT))))
    assert path.name == "file.arff" + suffix
    assert raw_checksum(path) == (sha256(CONTENT), len(CONTENT))


def test_a_content_encoding_is_not_undone_twice(server, tmp_path):
    packed = gzip.compress(CONTENT)
    url = server.url("/a", lambda handler: handler.reply(200, packed, Content_Encoding="gzip"))
    path = fetch(tmp_path / "file", url)
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_wrong_bytes_give_way_to_the_next_mirror(server, tmp_path):
    wrong = CONTENT[:-1] + b"?"
    path = fetch(tmp_path / "file", server.url("/wrong", serves(wrong)), server.url("/b", serves(CONTENT)))
    assert path.read_bytes() == CONTENT
    assert leftovers(tmp_path) == ["file"]


def test_one_error_lists_what_each_mirror_said(server, tmp_path):
    page = b"<!DOCTYPE html><p>log in first"
    with pytest.raises(UserError) as error:
        fetch(
            tmp_path / "file",
            server.url("/404", fails(404)),
            server.url("/500", fails(500)),
            server.url("/page", serves(page)),
            server.url("/wrong", serves(CONTENT[::-1])),
            "http://127.0.0.1:1/nobody",
            "nonsense",
        )
    for words in ("HTTP 404", "HTTP 500", "a web page", "another one (SHA-256", "no connection", "nonsense"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert leftovers(tmp_path) == []


def test_a_connection_that_dies_is_resumed_on_the_same_mirror(server, tmp_path):
    path = fetch(tmp_path / "file", server.url("/a", serves(CONTENT, whole=False, limit=40_000)))
    assert path.read_bytes() == CONTENT
    assert [span for _, span in server.asked] == [None, "bytes=40000-", "bytes=80000-"]


def test_what_came_is_kept_for_the_next_run(server, tmp_path):
    to = tmp_path / "file"
    with pytest.raises(UserError, match="broke"):
        fetch(to, server.url("/a", serves(CONTENT, limit=40_000)))
    assert leftovers(tmp_path) == ["file.part"]
    server.asked.clear()
    fetch(to, server.url("/b", serves(CONTENT, whole=False)))
    assert to.read_bytes() == CONTENT and server.asked == [("/b", "bytes=40000-")]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    assert fetch(tmp_path / "file", server.url("/a", serves(CONTENT))).read_bytes() == CONTENT
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [1000, len(CONTENT), len(CONTENT) + 5])
def test_a_part_of_something_else_is_dropped(server, tmp_path, size):
    (tmp_path / "file.part").write_bytes(b"?" * size)
    assert fetch(tmp_path / "file", server.url("/a", serves(CONTENT, whole=False))).read_bytes() == CONTENT


def test_a_part_that_is_complete_needs_no_request(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert fetch(tmp_path / "file", server.url("/a", fails(404))).read_bytes() == CONTENT
    assert server.asked == []


def test_a_range_that_was_not_asked_for_is_refused(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])

    def elsewhere(handler):
        handler.reply(206, CONTENT[5:], Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")

    with pytest.raises(UserError, match="asked for the bytes from 1,000 on"):
        fetch(tmp_path / "file", server.url("/a", elsewhere))


def test_a_length_that_promises_too_much_does_no_harm(server, tmp_path):
    url = server.url("/a", lambda handler: handler.reply(200, CONTENT, Content_Length=len(CONTENT) + 500))
    assert fetch(tmp_path / "file", url).read_bytes() == CONTENT


def test_a_length_that_promises_too_little_is_not_taken_for_the_end(server, tmp_path):
    def short(handler):
        handler.reply(200, CONTENT, Content_Length=1000)

    with pytest.raises(UserError, match="ends after 1,000 bytes"):
        fetch(tmp_path / "file", server.url("/a", short))


def test_a_truncated_archive_is_not_taken_for_whole(server, tmp_path):
    packed = gzip.compress(CONTENT)
    url = server.url("/a", lambda handler: handler.reply(200, packed[:-20], Content_Length=None))
    with pytest.raises(UserError, match="ends after"):
        fetch(tmp_path / "file", url)


def test_no_more_is_taken_than_the_file_can_have(server, tmp_path):
    def endless(handler):
        handler.reply(200, Content_Length=None)
        while not handler.server.over.is_set():
            handler.wfile.write(b"?" * 65536)

    with pytest.raises(UserError, match="sends more than the 102,400 bytes"):
        fetch(tmp_path / "file", server.url("/a", endless))


def test_a_silent_server_is_left(server, tmp_path):
    def silent(handler):
        handler.reply(200, CONTENT[:100], Content_Length=len(CONTENT))
        handler.server.over.wait(5)

    path = fetch(tmp_path / "file", server.url("/a", silent), server.url("/b", serves(CONTENT)))
    assert path.read_bytes() == CONTENT


def test_a_server_that_never_answers_is_left(server, tmp_path):
    url = server.url("/a", lambda handler: handler.server.over.wait(5))
    with pytest.raises(UserError, match=r"silent for 0\.3 s"):
        fetch(tmp_path / "file", url)


def test_a_trickling_server_is_left(server, tmp_path):
    def trickle(handler):
        handler.reply(200, Content_Length=len(CONTENT))
        while not handler.server.over.wait(0.02):
            handler.wfile.write(b"?")

    with pytest.raises(UserError, match="too slow"):
        fetch(tmp_path / "file", server.url("/a", trickle))


def test_redirects_are_followed_but_not_for_ever(server, tmp_path):
    server.url("/end", serves(CONTENT))
    start = server.url("/start", lambda handler: handler.reply(302, Location="/end"))
    assert fetch(tmp_path / "one", start).read_bytes() == CONTENT
    loop = server.url("/loop", lambda handler: handler.reply(302, Location="/loop"))
    with pytest.raises(UserError, match="redirects without end"):
        fetch(tmp_path / "two", loop, redirects=3)
    assert server.asked.count(("/loop", None)) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_one_line(server, tmp_path):
    full = tmp_path / "file.part"
    full.symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left in") as error:
        fetch(tmp_path / "file", server.url("/a", serves(CONTENT)))
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_one_line(server, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="cannot write file into"):
        fetch(tmp_path / "taken" / "file", server.url("/a", serves(CONTENT)))


def test_two_processes_fetch_once(server, tmp_path):
    def slow(handler):
        handler.server.over.wait(0.3)
        serves(CONTENT)(handler)

    program = (
        "import sys; from pathlib import Path; from mlbench.data.download import download; "
        "download([sys.argv[1]], Path(sys.argv[2]), sha256=sys.argv[3])"
    )
    arguments = [sys.executable, "-c", program, server.url("/a", slow), tmp_path / "file", sha256(CONTENT)]
    processes = [subprocess.Popen(arguments) for _ in range(2)]
    assert [process.wait(30) for process in processes] == [0, 0]
    assert (tmp_path / "file").read_bytes() == CONTENT and len(server.asked) == 1
