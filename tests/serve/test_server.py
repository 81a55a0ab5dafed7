"""Who may ask a server what, how it says no, what it tells of a run, how it ends."""

import json
import shutil
import signal
import socket
import time
import urllib.request

import pytest
import torch

from commands import until
from mlbench.commands.serve import main
from mlbench.export.card import card
from mlbench.export.graph import Graph
from mlbench.predict import Trained
from mlbench.results.record import Record
from mlbench.serve.about import BODY

ROW = {"wet": 1.5, "cold": -3, "wind": "calm", "side": "lee"}
SERVE = "mlbench.commands.serve"


def error_of(answered, status):
    assert answered.status == status and answered.json.keys() == {"error"}, answered
    return answered.json["error"]


def raw(client, data):
    """The status line of what is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as sent:
        sent.sendall(data)
        sent.shutdown(socket.SHUT_WR)
        answered = b""
        while more := sent.recv(2**16):
            answered += more
    return answered.partition(b"\r\n")[0].decode(), answered


def test_what_is_not_there(serving):
    client = serving()
    for path in ("/favicon.ico", "/../../etc/passwd", "/predict/", "/%2e%2e/model.pt"):
        assert "there are /, /about, /metrics, /predict" in error_of(client.ask("GET", path), 404)
    for method, path, allowed in (
        *(("GET", "/predict", "POST"), ("POST", "/", "GET"), ("PUT", "/predict", "POST")),
        *(("OPTIONS", "/predict", "POST"), ("DELETE", "/about", "GET"), ("TRACE", "/", "GET")),
    ):
        answered = client.ask(method, path, b"{}" if method in ("POST", "PUT") else None)
        assert error_of(answered, 405) == f"{path} takes {allowed}" and answered.headers["Allow"] == allowed
    about = client.ask("HEAD", "/about")
    assert (about.status, about.body) == (200, b"") and int(about.headers["Content-Length"]) > 100


def test_what_is_no_json_or_has_no_length(serving):
    client = serving()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert "Content-Type: application/json" in error_of(
            client.ask("POST", "/predict", b"{}", Content_Type=kind), 415
        )
    assert client.post({"rows": [ROW]}, Content_Encoding="gzip").status == 415
    named = {"Content_Type": "application/json; charset=utf-8"}
    assert client.ask("POST", "/predict", json.dumps({"rows": [ROW]}), **named).status == 200
    assert client.post({"rows": [ROW]}, Content_Encoding="identity").status == 200
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for lines in (
        b"",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x10\r\n",
    ):
        assert raw(client, head + lines + b"\r\n{}")[0] == "HTTP/1.1 411 Length Required"


def test_a_body_has_a_limit(serving):
    client = serving()
    sentence = f"the body is larger than {BODY:,} bytes; mlbench predict reads files of any size"
    assert error_of(client.post(b" " * (BODY + 1)), 413) == sentence
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length in (BODY + 1, 10**30):
        asked = head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % length
        status, all_of_it = raw(client, asked)
        assert status.startswith("HTTP/1.1 413") and b"100 Continue" not in all_of_it
    assert client.post(json.dumps({"rows": [ROW]}).encode().ljust(BODY)).status == 200


def test_what_is_no_request(serving):
    client = serving()
    long = b"x" * 70_000
    for data, status in (
        (b"nonsense\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "505"),
        (b"GET /" + long + b" HTTP/1.1\r\n\r\n", "414"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + long + b"\r\n\r\n", "431"),
    ):
        said, all_of_it = raw(client, data)
        assert status in said.split()[:2] and b"this is no request that can be read" in all_of_it, said
    assert (
        raw(
            client,
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 50\r\n\r\n{",
        )[1]
        == b""
    ), "who goes away in the middle is not answered"
    assert client.predict(rows=[ROW])["labels"] == ["rain", "snow"]


def test_a_body_that_nobody_reads_is_no_next_request(serving):
    inner = b"GET /about HTTP/1.1\r\nHost: localhost\r\n\r\n"
    asked = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner
    _, answered = raw(serving(), asked)
    assert answered.count(b"HTTP/1.1 200 OK") == 1


def test_a_foreign_name_or_page_may_not_ask(serving):
    """A page whose name was made to mean 127.0.0.1 sends its name as Host; another one sends its Origin."""
    client = serving()
    for host in (
        "evil.example",
        f"evil.example:{client.port}",
        "localhost.evil.example",
        "",
        "127.0.0.1.nip.io",
    ):
        for method, path in (("GET", "/"), ("GET", "/about"), ("POST", "/predict")):
            assert "Host" in error_of(client.ask(method, path, b"{}", Host=host), 403)
    for origin in ("http://evil.example", "null", "http://localhost:1", "http://127.0.0.1"):
        assert "another origin" in error_of(client.post({"rows": [ROW]}, Origin=origin), 403)
    own = f"127.0.0.1:{client.port}"
    assert client.post({"rows": [ROW]}, Origin=f"http://{own}", Host=own).status == 200
    for host in ("localhost", f"LOCALHOST:{client.port}", "[::1]:80", "192.168.1.7"):
        assert client.ask("GET", "/about", Host=host).status == 200


def test_headers_let_no_other_page_read_and_the_page_ask_nobody_else(serving):
    client = serving()
    for answered in (
        client.ask("GET", "/"),
        client.ask("GET", "/about"),
        client.post({}),
        client.ask("GET", "/x"),
    ):
        headers = {name.lower(): value for name, value in answered.headers.items()}
        assert not any(name.startswith("access-control") for name in headers)
        assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin" and "Python" not in headers["server"]
    page = client.ask("GET", "/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    text = page.body.decode()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text
    assert " src=" not in text and "@import" not in text and "url(" not in text


def test_about_tells_what_a_run_is_and_not_where(serving, trained, made):
    client = serving()
    about, record = client.ask("GET", "/about").json, Record.read(trained() / "record.json")
    assert about["labels"] == ["rain", "snow"] and about["cuts"] == [0.5, 0.5] and about["takes"] == ["rows"]
    (run,) = about["runs"]
    assert (run["method"], run["dataset"], run["key"]) == ("erm", "train", record.key)
    assert [column["name"] for column in about["columns"]] == ["wet", "cold", "wind", "side"]
    assert about["columns"][2]["words"] == ["breeze", "calm", "storm"]
    learned = made.weather[:50]
    wet, cold, wind, side = about["example"]
    assert (wet, cold) == (pytest.approx(learned.wet.mean()), pytest.approx(learned.cold.mean(), rel=1e-5))
    assert learned.wind.value_counts()[wind] == learned.wind.value_counts().max()
    assert learned.side.value_counts()[side] == learned.side.value_counts().max()
    for path in ("/", "/about", "/metrics"):
        assert str(made.folder) not in client.ask("GET", path).body.decode()


def test_metrics_have_the_intervals_of_the_model_card(serving, trained):
    told = serving().ask("GET", "/metrics").json
    run, record = Trained.of_run(trained()), Record.read(trained() / "record.json")
    written = card(run, record, Graph(run), trained() / "scores.npz")
    assert told["draws"] == 2000 and told["shown"] == ["f1_macro", "hamming_loss"]
    assert len(told["metrics"]) > 40
    for row in told["metrics"]:
        (value,), ends = row["values"], row["interval"]
        shown = "nan" if value is None else f"{value:.4f}"
        between = f"[{ends[0]:.4f}, {ends[1]:.4f}]" if ends else ""
        assert f"| {row['name']} | {shown} | {between} | " in written
    assert any(row["interval"] for row in told["metrics"])


def test_a_model_alone_answers_without_a_record(serving, trained, tmp_path):
    shutil.copy(trained() / "model.pt", tmp_path / "sent.pt")
    client = serving(tmp_path / "sent.pt")
    assert client.predict(rows=[ROW]) == serving().predict(rows=[ROW])
    (run,) = client.ask("GET", "/about").json["runs"]
    assert run["method"] == "ERM" and client.ask("GET", "/metrics").json["metrics"] == []


def test_what_should_not_happen_is_told_in_the_terminal_alone(serving, monkeypatch, capfd):
    def broken(*_):
        raise RuntimeError("in /home/somebody/secret")

    client = serving()
    monkeypatch.setattr("mlbench.predict.score_rows", broken)
    answered = client.post({"rows": [ROW]})
    assert "this should not happen" in error_of(answered, 500) and b"secret" not in answered.body
    assert "/home/somebody/secret" in capfd.readouterr().err
    monkeypatch.undo()
    assert client.predict(rows=[ROW])["labels"] == ["rain", "snow"]


# The command


class Asleep:
    """Makes a process score so slowly that a signal comes first; a file says that it has begun."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self):
        from mlbench import predict

        predict.score_rows = self.scores

    def scores(self, *_):
        (self.folder / "begun").touch()
        time.sleep(1000)


def address(command):
    return command.until(lambda: command.streams[0].read_text().strip())


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_whatever_it_does(which, start, trained, folder):
    command = start(f"run={trained()}", "port=0", program=SERVE, first=Asleep(folder))
    url = address(command)
    assert url.startswith("http://127.0.0.1:") and url.endswith("/")
    with urllib.request.urlopen(url, timeout=60) as page:
        assert b"erm on train" in page.read()
    port = int(url.rstrip("/").rpartition(":")[2])
    body = json.dumps({"rows": [ROW]}).encode()
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", port)) as asking:
        asking.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        until((folder / "begun").exists)
        command.signal(which)
        done = command.wait()
    assert (done.status, done.err) == (130, "mlbench: stopped\n")


def test_what_is_asked_for_wrongly(trained, folder, monkeypatch, capsys, sigterm):
    monkeypatch.chdir(folder)
    run = f"run={trained()}"
    old = torch.load(trained() / "model.pt", weights_only=True)
    torch.save({key: value for key, value in old.items() if key != "rows"}, folder / "old.pt")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        mistakes = {
            (): "run is needed and not given; --help shows how",
            (run, f"port={port}"): f"port={port}: Address already in use; port=0 picks a free port",
            (run, "port=high"): "port=high: should be 0 to 65535",
            (run, "port=65536"): "port=65536: should be 0 to 65535",
            (run, "host=no.such.host.invalid", "port=0"): "host=no.such.host.invalid port=0: ",
            (run, "prot=1"): "prot: no such key; there are run, port, host, trust; did you mean port?",
            ("run=nowhere",): "nowhere",
            ("run=old.pt",): "old.pt: an older version wrote it",
            (f"run=[{trained()},{trained('text')}]",): "were trained on different columns",
        }
        for words, sentence in mistakes.items():
            assert main([*words]) == 2
            said = capsys.readouterr().err
            assert sentence in said and said.count("\n") == 1, (words, said)
