"""A server that speaks the protocol, with stated delays and stated faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Behaviour:
    """What the server does; changed by tests while it runs."""

    owner: str = "vllm"
    models: tuple[str, ...] = ("toy",)
    prefill_s: float = 0.0  # before the first token
    step_s: float = 0.0  # between two tokens
    queues: str = ""  # prefill: prompts one after another; all: whole queries one after another
    lumps: int = 1  # tokens in a part
    most_context: int = 10_000
    takes_tokens: bool = True
    begins: int = 1  # tokens that it adds to every text
    stops_at: int | None = None  # an answer's end unless it is told to go on
    breaks_at: int | None = None
    fails: bool = False
    key: str | None = None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)


class _Server(ThreadingHTTPServer):
    """On a free port of this host; handlers ask it what to do."""

    def __init__(self, does: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.does = does


class _Handler(BaseHTTPRequestHandler):
    """Answers one request as the server's `Behaviour` says."""

    server: _Server

    @property
    def _does(self) -> Behaviour:
        return self.server.does

    def log_message(self, *said: Any) -> None:
        """Nothing on the screen."""

    def _answer(self, value: Any, status: int = 200) -> None:
        """A whole response, as JSON."""
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        """The list of models."""
        listed = [{"id": name, "owned_by": self._does.owner} for name in self._does.models]
        self._answer({"data": listed})

    def do_POST(self) -> None:
        """A completion, or the fault that is asked for."""
        does = self._does
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        does.bodies.append(body)
        if does.key and self.headers.get("Authorization") != f"Bearer {does.key}":
            return self._answer({"error": "no key"}, 401)
        if does.fails:
            return self._answer({"error": "out of order"}, 503)
        prompt = body["prompt"]
        if not isinstance(prompt, str) and not does.takes_tokens:
            return self._answer({"detail": "prompt must be a string."}, 400)
        tokens = len(prompt.split()) + does.begins if isinstance(prompt, str) else len(prompt)
        if tokens + body["max_tokens"] > does.most_context:
            return self._answer({"error": f"the context is {does.most_context} tokens"}, 400)
        with does.turn if does.queues == "all" else nullcontext():
            self._stream(body, tokens)

    def _stream(self, body: dict[str, Any], prompt_tokens: int) -> None:
        """Stream the answer by parts of `lumps` tokens; each token has a text of its own."""
        does = self._does
        count = body["max_tokens"]
        if does.stops_at is not None and not body.get("ignore_eos"):
            count = min(count, does.stops_at)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        with does.turn if does.queues == "prefill" else nullcontext():
            time.sleep(does.prefill_s)
        text = ""
        for number in range(count):
            if number:
                time.sleep(does.step_s)
            if number == does.breaks_at:
                return
            text += f" {prompt_tokens + number}"
            if number % does.lumps == 0 or number == count - 1:
                self._part({"choices": [{"text": text}]})
                text = ""
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": count}
        self._part({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _part(self, value: Any) -> None:
        """One server-sent event."""
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()


@contextmanager
def serving(does: Behaviour) -> Iterator[str]:
    """The address of a server that does so."""
    server = _Server(does)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
