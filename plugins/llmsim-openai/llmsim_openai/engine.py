"""One deployment, served by a server."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsim.api import Advance, InputError
from llmsim_openai.server import Answer, Refused, Server, exact

# Numbers of tokens that prompts are made of: small ones, that every vocabulary has.
_TOKENS = (10, 90)
# Tokens at the begin of a prompt that say its number.
_NUMBERED = 4


@dataclass(frozen=True)
class Prompts:
    """How prompts of exactly so many tokens are made.

    Attributes:
        word: repeated in text prompts; None: prompts are token numbers.
        extra: tokens that the server adds to a text, such as one that begins it.
    """

    word: str | None
    extra: int = 0

    def of(self, tokens: int, number: int = 0) -> str | list[int]:
        """A prompt.

        Args:
            number: prompts of token numbers that have different ones begin differently, so that what a server
                keeps of earlier ones is of no use.

        Raises:
            InputError: the server adds more tokens than the prompt may have.
        """
        if self.word is None:
            low, high = _TOKENS
            span = high - low
            begin = [low + number // span**place % span for place in range(_NUMBERED)]
            return (begin + [low + place % span for place in range(_NUMBERED, tokens)])[:tokens]
        if tokens <= self.extra:
            raise InputError(f"A prompt of {tokens} tokens: the server adds {self.extra} to every text.")
        return self.word * (tokens - self.extra)


@dataclass(frozen=True)
class Client:
    """Asks one model of a server.

    Attributes:
        server: where.
        model: the server's name of it.
        kind: which server it is, for its own words.
    """

    server: Server
    model: str
    kind: str

    def complete(self, prompt: str | list[int], tokens: int) -> Answer:
        """One completion of exactly so many tokens."""
        body = {"model": self.model, "prompt": prompt, **exact(self.kind, tokens)}
        return self.server.complete(body)

    def together(
        self, pool: ThreadPoolExecutor, prompts: Sequence[str | list[int]], tokens: Sequence[int]
    ) -> list[Answer]:
        """Completions that are asked for at the same moment.

        Args:
            pool: with a thread for each.
        """
        ready = threading.Barrier(len(prompts))

        def ask(prompt: str | list[int], count: int) -> Answer:
            """One request, once all threads are ready."""
            ready.wait()
            return self.complete(prompt, count)

        return list(pool.map(ask, prompts, tokens))

    def check(self, answer: Answer, tau_in: int, tau_out: int) -> None:
        """The tokens that were asked for.

        Raises:
            InputError: the server counted others.
        """
        if answer.completion_tokens != tau_out:
            raise InputError(
                f"{self.server.url}: {answer.completion_tokens} tokens instead of {tau_out}. Say which "
                "server it is (backend.server=vllm, ...), so that it is asked in its own words."
            )
        if answer.prompt_tokens != tau_in:
            raise InputError(
                f"{self.server.url}: a prompt of {answer.prompt_tokens} tokens instead of {tau_in}. Choose "
                "a backend.word that its tokenizer makes one token of, again and again."
            )


class OpenAIEngine:
    """Sends the queries of a batch at the same time, each on a connection of its own."""

    def __init__(self, client: Client, prompts: Prompts, most: int) -> None:
        self._client, self._prompts, self._most = client, prompts, most
        self._answers: list[Answer] = []
        self._open = True

    def expect(self, tau_in: Any, tau_out: Any) -> None:
        """Refuse queries that are longer than `backend.max_tokens`, before any is served."""
        longest = int(np.max(np.add(tau_in, tau_out)))
        if longest > self._most:
            raise InputError(
                f"A query of {longest:,} tokens: backend.max_tokens={self._most:,} is the most. Set it to "
                "what the server serves."
            )

    def serve(self, tau_in: Sequence[int], tau_out: Sequence[int]) -> Advance:
        """Serve one batch; its first token is there when every query has one.

        Raises:
            InputError: the server failed, or did not generate exactly the tokens that were asked for.
        """
        if not self._open:
            raise InputError("This engine is closed.")
        self.expect(tau_in, tau_out)
        # The same batch has the same prompts; no other query does, so that a prefix cache is of no use.
        first = zlib.crc32(f"{tuple(tau_in)} {tuple(tau_out)}".encode())
        prompts = [self._prompts.of(tokens, first + place) for place, tokens in enumerate(tau_in)]
        with ThreadPoolExecutor(len(prompts)) as pool:
            answers = self._client.together(pool, prompts, tau_out)
        for answer, asked_in, asked_out in zip(answers, tau_in, tau_out, strict=True):
            self._client.check(answer, asked_in, asked_out)
        self._answers = answers
        return Advance(
            runtime_s=max(answer.last_token_s for answer in answers),
            first_token_s=max(answer.first_token_s for answer in answers),
            energy_j=None,
        )

    def timings(self) -> list[tuple[float, float | None]]:
        """Of each query of the last batch: seconds to its first token, and seconds a token after it."""
        return [
            (
                answer.first_token_s,
                (answer.last_token_s - answer.first_token_s) / (answer.completion_tokens - 1)
                if answer.completion_tokens > 1
                else None,
            )
            for answer in self._answers
        ]

    def generated(self) -> list[list[int]]:
        """Of each query of the last batch, as many numbers as it has tokens: equal ones for equal texts.

        The protocol gives texts, and how many tokens they are of, but not the tokens.
        """
        return [[zlib.crc32(item.text.encode())] * item.completion_tokens for item in self._answers]

    def close(self) -> None:
        """Nothing is held on the server."""
        self._open = False


def find_prompts(client: Client, wanted: str, word: str) -> Prompts:
    """How this server is given prompts: as token numbers where it takes them, else as words.

    Args:
        wanted: `tokens`, `text` or `auto`.

    Raises:
        InputError: neither gives prompts of a known number of tokens.
    """
    if wanted != "text":
        try:
            if client.complete(Prompts(None).of(7), 1).prompt_tokens == 7:
                return Prompts(None)
        except Refused as error:
            if wanted == "tokens" or error.status not in (400, 415, 422, 500):
                raise
    counts = [client.complete(word * words, 1).prompt_tokens for words in (4, 12, 40)]
    extra = counts[0] - 4
    if counts != [4 + extra, 12 + extra, 40 + extra] or extra < 0:
        raise InputError(
            f"{client.server.url}: 4, 12 and 40 times the word {word!r} are {counts} tokens. Choose a "
            "backend.word that the server's tokenizer makes one token of, again and again."
        )
    return Prompts(word, extra)
