"""Asking a server: one completion, streamed, with the times of its parts and the tokens that it counted."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from llmsim.api import InputError

# What makes a server generate exactly so many tokens, by server; each is asked for {n} of them.
SERVERS = ("vllm", "sglang", "llamacpp", "transformers", "plain")
SHOWN_CHARACTERS = 300


class Refused(InputError):
    """The server answered with an error; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """One completion.

    Attributes:
        text: what was generated.
        prompt_tokens, completion_tokens: as the server counted them.
        first_token_s, last_token_s: seconds from the request to the first and the last part.
        begin_s: when it was asked for, s, on `time.perf_counter`.
        parts_s: when each part with text came, s, on the same clock.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    first_token_s: float
    last_token_s: float
    begin_s: float = 0.0
    parts_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Server:
    """A server by its address.

    Attributes:
        url: up to and including the version, such as ``http://localhost:8000/v1``.
        key: sent as a bearer token; None: none.
        timeout_s: for an answer's next part.
    """

    url: str
    key: str | None
    timeout_s: float

    def models(self) -> list[dict[str, Any]]:
        """What the server lists.

        Raises:
            InputError: it cannot be reached, or answers otherwise.
        """
        with _Exchange(self, "GET", "/models", None) as exchange:
            try:
                return list(json.loads(exchange.read())["data"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{self.url}/models: not a list of models ({error}).") from error

    def complete(self, body: Mapping[str, Any]) -> Answer:
        """Ask for a completion and read it as it comes.

        Raises:
            Refused: the server answered with an error.
            InputError: it cannot be reached, broke off, or did not say how many tokens there were.
        """
        start = time.perf_counter()
        text, usage = "", None
        first = last = None
        parts_s: list[float] = []
        with _Exchange(self, "POST", "/completions", {**body, "stream": True}) as exchange:
            for part in exchange.parts():
                now = time.perf_counter() - start
                if "error" in part:
                    raise InputError(f"{self.url}: {str(part['error'])[:SHOWN_CHARACTERS]}")
                usage = part.get("usage") or usage
                for choice in part.get("choices") or ():
                    piece = choice.get("text") or ""
                    text += piece
                    if piece:
                        parts_s.append(start + now)
                    if piece or choice.get("finish_reason"):
                        first = now if first is None else first
                        last = now
        if usage is None or first is None or last is None:
            raise InputError(
                f"{self.url}: the answer broke off, or had no count of tokens (usage). The server must "
                "stream completions with their usage."
            )
        counted = int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        return Answer(text, *counted, first, last, start, tuple(parts_s))


class _Exchange:
    """One request and its response."""

    def __init__(self, server: Server, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        parts = urlsplit(server.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._where = f"{server.url}{path}"
        self._connection = kind(parts.hostname or "", parts.port, timeout=server.timeout_s)
        headers = {"Content-Type": "application/json"}
        if server.key:
            headers["Authorization"] = f"Bearer {server.key}"
        text = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, f"{parts.path}{path}", text, headers)
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            if isinstance(error, ConnectionResetError):  # it is there
                raise InputError(
                    f"{self._where}: the server closed the connection ({error}). It stopped, or takes fewer "
                    "connections at once than a batch has queries: see its log."
                ) from error
            raise InputError(
                f"{self._where}: cannot be reached ({error}). Start the server, or set backend.url."
            ) from error
        if self._response.status != 200:
            said = self._response.read(SHOWN_CHARACTERS).decode(errors="replace")
            self._connection.close()
            raise Refused(
                f"{self._where}: {self._response.status} {self._response.reason}: {said}",
                self._response.status,
            )

    def __enter__(self) -> _Exchange:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def read(self) -> bytes:
        """All of the response."""
        return self._response.read()

    def parts(self) -> Iterator[dict[str, Any]]:
        """Each part of a streamed response as it comes (server-sent events)."""
        try:
            for line in self._response:
                if not line.startswith(b"data:"):
                    continue
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                yield json.loads(data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise InputError(f"{self._where}: the answer broke off ({error}).") from error


def exact(server: str, tokens: int) -> dict[str, Any]:
    """What to ask a server for besides, so that it generates exactly so many tokens, greedily."""
    asked: dict[str, Any] = {"max_tokens": tokens, "temperature": 0}
    if server == "vllm":
        return asked | {
            "ignore_eos": True, "min_tokens": tokens, "stream_options": {"include_usage": True},
        }  # fmt: skip
    if server in ("sglang", "llamacpp"):
        return asked | {"ignore_eos": True, "stream_options": {"include_usage": True}}
    if server == "transformers":
        # A configuration of its own, without a token that ends the answer.
        config = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
        return {"max_tokens": tokens, "generation_config": json.dumps(config)}
    return asked | {"stream_options": {"include_usage": True}}


def kind_of(listed: list[dict[str, Any]]) -> str:
    """Which server lists these models, by how it calls their owner; `plain` where that says nothing."""
    owners = {str(model.get("owned_by", "")).lower() for model in listed}
    for kind in ("vllm", "sglang", "llamacpp"):
        if kind in owners:
            return kind
    return "plain"
