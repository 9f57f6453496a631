"""`backend=openai`: a server that speaks OpenAI's protocol, by its address."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from llmsim.api import Deployment, InputError, Target
from llmsim_openai.bench import OpenAIBench
from llmsim_openai.engine import Client, OpenAIEngine, Prompts, find_prompts
from llmsim_openai.place import is_here
from llmsim_openai.server import SERVERS, Refused, Server, kind_of

PROMPTS = ("auto", "tokens", "text")


@dataclass
class OpenAIBackend:
    """Measures a server from outside: seconds by the clock of this host, tokens as the server counts them.

    Attributes:
        url: of the server, up to and including the version.
        model: the server's name of it; None: the only one that it lists.
        server: which it is, for the words that fix an answer's length; `auto`: as its list of models says.
        prompt: `tokens`, `text`, or `auto`: token numbers where the server takes them.
        word: what text prompts are made of.
        max_tokens: of the longest query, prompt and answer.
        key_variable: the environment variable that holds the server's key.
        timeout_s: for the next part of an answer.
        here: whether the server runs on this host, so that its meters see it; None: as its address says.
    """

    method: ClassVar[Literal["measured"]] = "measured"
    api_version: ClassVar[int] = 1

    url: str = "http://localhost:8000/v1"
    model: str | None = None
    server: str = "auto"
    prompt: str = "auto"
    word: str = " a"
    max_tokens: int = 8192
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 600.0
    here: bool | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"backend.url={self.url}: expected an address such as http://localhost:8000/v1.")
        for name, value, known in (
            ("server", self.server, ("auto", *SERVERS)),
            ("prompt", self.prompt, PROMPTS),
        ):
            if value not in known:
                raise InputError(f"backend.{name}={value}: one of {', '.join(known)}.")

    @property
    def elsewhere(self) -> bool:
        """Whether no meter of this host sees what the server draws."""
        return not (is_here(self.url) if self.here is None else self.here)

    @property
    def serves_one(self) -> str:
        """Why several deployments cannot share it: their figures would be of one and the same model."""
        return f"one model of the server at {self.url} cannot be all of these."

    @property
    def device(self) -> str:
        """What is measured by one at a time."""
        return f"server {urlsplit(self.url).netloc}"

    def unavailable(self) -> str | None:
        """Why it cannot be measured, and what to do about it; None: it can."""
        try:
            self._server().models()
        except Refused as error:  # it is there; with the model's name, its list is not needed
            return str(error) if self.model is None else None
        except InputError as error:
            return str(error)
        return None

    def open(self, deployment: Deployment) -> OpenAIEngine:
        """An engine for one deployment: the server must run the deployment's model, which is not checked.

        Raises:
            InputError: the server is not there, lists several models, or takes no prompts of known length.
        """
        return OpenAIEngine(*self._asked(), self.max_tokens)

    def open_bench(self, target: Target) -> OpenAIBench:
        """A bench for a campaign: the server must run the target, which is not checked.

        Raises:
            InputError: as `open`; or a target without a KV cache, which servers always have.
        """
        if not target.kv_cache:
            raise InputError("backend=openai: servers keep keys and values: task.kv_cache=true.")
        client, prompts = self._asked()
        conditions: dict[str, str | int | float | bool] = {
            "weights": "the server's",
            "server": client.kind,
            "server_model": client.model,
            "server_here": not self.elsewhere,
            "unchecked": "model, precision, devices, batch limit, prefix cache",
            "prompts": "numbers, all different" if prompts.word is None else f"{prompts.word!r} repeated",
            "clock": "the client's: network, queue and tokenizer are included",
            "prefill": "requests at once, to the first token of the last",
            "decode": "streamed tokens while all queries of the batch get them",
        }
        most = min(self.max_tokens, target.model.context_tokens)
        return OpenAIBench(client, prompts, most, not self.elsewhere, conditions)

    def _asked(self) -> tuple[Client, Prompts]:
        """How the server is asked.

        Raises:
            InputError: the server is not there, lists several models, or takes no prompts of known length.
        """
        server = self._server()
        listed = [] if self.model and self.server != "auto" else server.models()
        kind = kind_of(listed) if self.server == "auto" else self.server
        client = Client(server, self.model or _only(listed, self.url), kind)
        return client, find_prompts(client, self.prompt, self.word)

    def _server(self) -> Server:
        return Server(self.url.rstrip("/"), os.environ.get(self.key_variable), self.timeout_s)


def _only(listed: list[dict[str, Any]], url: str) -> str:
    """The name of the only model that a server lists; raises InputError for none or several."""
    names = [str(model.get("id")) for model in listed]
    if len(names) != 1:
        raise InputError(
            f"{url} lists {len(names)} models ({', '.join(names[:8])}): set backend.model to one of them."
        )
    return names[0]
