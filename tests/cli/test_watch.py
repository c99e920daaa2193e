"""``nasformer watch`` serves one page and its state, under names of this machine, until Ctrl-C."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from nasformer.cli.watch import _Watched
from nasformer.report import write_report
from tests.report.test_report import result


def test_it_serves_the_page_alone_until_ctrl_c(program: str, tmp_path: Path) -> None:
    write_report(tmp_path / "run", result(), title="Searched")
    (tmp_path / "secret.txt").write_text("secret")
    command = [program, "watch", str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)/ shows .*run; stop with Ctrl-C", line)
        assert found, line
        port = int(found[1])
        paths = ("/", "/state", "/../secret.txt", "/report.html", "/%2e%2e/secret.txt")
        answers = {path: ask(port, path) for path in paths}
        refused = ask(port, "/", host=f"evil.example:{port}")
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), process.communicate()[1]) == (0, "")
    assert [status for status, _ in answers.values()] == [200, 200, 404, 404, 404]
    assert "The run has ended." in answers["/"][1]
    assert f'data-state="{answers["/state"][1]}"' in answers["/"][1]
    assert not [path for path, (_, text) in answers.items() if "secret" in text]
    assert refused == (403, "this server is not of the host that was asked for")


def ask(port: int, path: str, host: str = "") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_what_cannot_be_watched_is_one_line(refused: Any, tmp_path: Path) -> None:
    refused(r"nowhere is no folder of a run; give the --out of the run", "watch", tmp_path / "nowhere")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused(
            rf"cannot listen on 127\.0\.0\.1:{port}: .*choose another host or --port", "watch", tmp_path, "--port", port
        )


def test_a_damaged_study_is_told_in_the_browser(tmp_path: Path) -> None:
    (tmp_path / "study.log").write_text("no journal\n")
    answered: list[str] = []
    (body,) = _Watched(tmp_path)({"PATH_INFO": "/"}, lambda status, _: answered.append(status))
    assert answered == ["200 OK"]
    assert re.search(r'<p class="lead">[^\n]*study\.log', body.decode())
    assert "data-state" in body.decode(), "it looks again"
