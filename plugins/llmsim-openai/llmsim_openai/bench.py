"""A server as a campaign's bench: prefill, decode and whole generations, as they show from outside."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from llmsim.api import Cell, InputError, NotMeasured, OutOfMemory, Passes
from llmsim_openai.engine import Client, Prompts
from llmsim_openai.server import Answer, Refused

# A window is decode's where it is this part of the time; below that its joules are not decode's.
DECODE_SHARE = 0.95
# No pass is made longer than this to reach that part, s.
LONGEST_PASS_S = 20.0
# How often a pass is tried with more steps until its queries decode together.
TRIES = 3

Conditions = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Together:
    """What some answers show of the time in which all their queries were decoding.

    Attributes:
        step_s: seconds a step; NaN: they never were.
        steps: steps of that time, of the query that shows the fewest.
        share: that time's part of the time from the first request to the last token.
        ahead: tokens that the first query had when the last one began.
    """

    step_s: float
    steps: int
    share: float
    ahead: int


def together_of(answers: Sequence[Answer]) -> Together:
    """From the times of the streamed parts, on one clock.

    Where every part is a token, steps are timed from the last query's first token to the first query's last.
    Where parts hold several, only whole answers are timed, which must lie almost wholly in that time.
    """
    began = max(answer.begin_s + answer.first_token_s for answer in answers)
    ended = min(answer.begin_s + answer.last_token_s for answer in answers)
    whole_s = max(answer.begin_s + answer.last_token_s for answer in answers) - min(
        answer.begin_s for answer in answers
    )
    share = max(0.0, ended - began) / whole_s
    inside = [[at for at in answer.parts_s if began <= at <= ended] for answer in answers]
    single = all(len(answer.parts_s) == answer.completion_tokens for answer in answers)
    ahead = max(sum(at < began for at in answer.parts_s) for answer in answers)
    if single and min(len(times) for times in inside) > 1:
        each = [(times[-1] - times[0]) / (len(times) - 1) for times in inside]
        return Together(sum(each) / len(each), min(len(times) for times in inside) - 1, share, ahead)
    own = [answer.last_token_s - answer.first_token_s for answer in answers]
    if not single and min(own) > 0 and (ended - began) >= DECODE_SHARE * max(own):
        counts = [answer.completion_tokens - 1 for answer in answers]
        each = [seconds / count for seconds, count in zip(own, counts, strict=True)]
        return Together(sum(each) / len(each), min(counts), share, ahead)
    return Together(math.nan, 0, share, ahead)


class _Requests:
    """The batch of a cell, asked for at once again and again."""

    def __init__(self, client: Client, prompts: Prompts, numbers: Iterator[int], batch: int) -> None:
        self._client, self._prompts, self._numbers, self._batch = client, prompts, numbers, batch
        self._pool = ThreadPoolExecutor(batch)

    def ask(self, tau_in: int, tau_out: int) -> list[Answer]:
        """Answers of exactly so many tokens to prompts of exactly so many.

        Raises:
            NotMeasured: the server refuses such requests.
        """
        prompts = [self._prompts.of(tau_in, next(self._numbers)) for _ in range(self._batch)]
        try:
            answers = self._client.together(self._pool, prompts, [tau_out] * self._batch)
        except Refused as error:
            if error.status in (400, 413, 422, 429):
                raise NotMeasured(str(error)) from error
            raise
        for answer in answers:
            self._client.check(answer, tau_in, tau_out)
        return answers

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)


@dataclass
class Whole:
    """Prefills or whole generations: from the requests to the last token of all."""

    requests: _Requests
    cell: Cell

    def run(self, seconds: float) -> Passes:
        """See `llmsim.api.Exercise`."""
        count, begin_s = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - begin_s < seconds:
            self.requests.ask(self.cell.tau_in, self.cell.tau_out)
            count += 1
        return Passes(count, time.perf_counter() - begin_s, self.cell.tau_out)


class Decode:
    """Steps of a batch: timed where all of its queries are decoding.

    A pass may have more steps than the cell, as many before the cell's as after them, so that the mean
    context is the cell's: where queries do not begin together, and where prefill would be too much of a
    meter's window.

    Args:
        least, most: tokens of the shortest prompt and of the longest query.
        metered: whether meters see the server.
        conditions: where what was found is noted.
    """

    def __init__(
        self,
        requests: _Requests,
        cell: Cell,
        least: int,
        most: int,
        metered: bool,
        conditions: Conditions,
    ) -> None:
        self._requests, self._cell, self._metered, self._conditions = requests, cell, metered, conditions
        self._wanted = self._steps = cell.tau_out - 1
        room = min(cell.tau_in - least, most - cell.tokens)
        self._most_steps = self._wanted + 2 * max(0, room)

    def run(self, seconds: float) -> Passes:
        """See `llmsim.api.Exercise`; the seconds are those of the cell's steps alone."""
        step_s, alone = [], True
        begin_s = time.perf_counter()
        while not step_s or time.perf_counter() - begin_s < seconds:
            found = self._pass()
            alone = alone and self._metered and found.share >= DECODE_SHARE
            step_s.append(found.step_s)
            self._conditions |= {
                "decode_steps": self._steps,
                "decode_steps_together": found.steps,
                "decode_tokens_ahead": found.ahead,
                "decode_window_pct": round(100 * found.share, 1),
            }
            if self._metered:
                self._lengthen(found.step_s, found.share)
        return Passes(len(step_s), sum(step_s) * self._wanted, self._wanted, alone=alone)

    def _pass(self) -> Together:
        """One pass whose queries decode together for the cell's steps at least."""
        for _ in range(TRIES):
            shift = (self._steps - self._wanted) // 2
            found = together_of(self._requests.ask(self._cell.tau_in - shift, self._steps + 1))
            if found.steps >= self._wanted:
                return found
            longer = self._allowed(self._steps + max(self._wanted - found.steps, found.ahead))
            if longer == self._steps:
                break
            self._steps = longer
        raise NotMeasured(
            f"of {self._cell.batch} queries at once, all were decoding together for {found.steps} steps of "
            f"{self._steps}; {self._wanted} are needed: the server does not serve so many at a time, or "
            "streams several tokens in one part"
        )

    def _lengthen(self, step_s: float, share: float) -> None:
        """More steps in the next pass where fewer leave too much of a window to prefill."""
        if share >= DECODE_SHARE:
            return
        rest_s = self._steps * step_s * (1 / share - 1)
        needed = math.ceil(1.2 * rest_s / step_s * DECODE_SHARE / (1 - DECODE_SHARE))
        if needed * step_s <= LONGEST_PASS_S and needed <= self._most_steps:
            self._steps = self._allowed(max(needed, self._steps))

    def _allowed(self, steps: int) -> int:
        """So many at least, or what there is room for; an even number more than the cell's."""
        more = max(0, steps - self._wanted)
        return min(self._wanted + more + more % 2, self._most_steps)


class OpenAIBench:
    """Cells of one server.

    Args:
        client, prompts: how it is asked.
        most: tokens of the longest query.
        metered: whether meters see the server.
        conditions: what its trials are measured under.
    """

    def __init__(
        self, client: Client, prompts: Prompts, most: int, metered: bool, conditions: Conditions
    ) -> None:
        self._client, self._prompts, self._most, self._metered = client, prompts, most, metered
        self._said = conditions
        self._found: Conditions = {}
        self._numbers = itertools.count()
        self._requests: _Requests | None = None

    def prepare(self, cell: Cell) -> Whole | Decode:
        """See `llmsim.api.Bench`."""
        if cell.tokens > self._most:
            raise OutOfMemory(f"{cell.tokens} tokens; backend.max_tokens={self._most} is the most")
        try:
            self._prompts.of(cell.tau_in)
        except InputError as error:
            raise NotMeasured(str(error)) from error
        self.close()
        self._found = {}
        self._requests = _Requests(self._client, self._prompts, self._numbers, cell.batch)
        if cell.experiment == "decode":
            least = self._prompts.extra + 1
            return Decode(self._requests, cell, least, self._most, self._metered, self._found)
        return Whole(self._requests, cell)

    def conditions(self) -> Conditions:
        """See `llmsim.api.Bench`; of a decode cell, also what its passes showed."""
        return {**self._said, **self._found}

    def close(self) -> None:
        """Nothing is held on the server."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
