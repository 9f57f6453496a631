"""Against a server with stated delays and faults: times, counts, and what is said of each fault."""

import pytest

from llmsim.api import InputError
from llmsim.testing import EngineConformance
from llmsim_openai.backend import OpenAIBackend

from .stub import Behaviour, serving


@pytest.fixture
def does():
    return Behaviour()


@pytest.fixture
def url(does):
    with serving(does) as address:
        yield address


def engine(url, **settings):
    return OpenAIBackend(url=url, **{"timeout_s": 10.0, "max_tokens": 64, **settings}).open(deployment=None)


class TestEngine(EngineConformance):
    @pytest.fixture(autouse=True)
    def _served(self, url):
        self.url = url

    def open_engine(self):
        return engine(self.url)


class TestEngineByText(TestEngine):
    @pytest.fixture(autouse=True)
    def _by_text(self, does):
        does.takes_tokens = False


def test_first_token_and_the_tokens_after_it_take_what_the_server_states(does, url):
    served = engine(url)
    does.prefill_s, does.step_s = 0.3, 0.1
    advance = served.serve((5, 3, 4), (4, 1, 6))
    # Never less than stated; somewhat more on a busy machine.
    assert 0.3 <= advance.first_token_s < 0.8
    assert 0.3 + 5 * 0.1 <= advance.runtime_s < 1.6
    (first, step), (_, alone), (_, longest) = served.timings()
    assert 0.3 <= first < 0.8
    assert alone is None
    assert 0.09 <= step < 0.25
    assert 0.09 <= longest < 0.25


def test_prompts_have_exactly_the_tokens_asked_for_as_numbers_or_as_words(does, url):
    served = engine(url)
    served.serve((5,), (2,))
    assert len(does.bodies[-1]["prompt"]) == 5
    assert does.bodies[-1]["ignore_eos"] is True
    does.takes_tokens, does.begins = False, 2
    served = engine(url)
    served.serve((5,), (2,))
    assert does.bodies[-1]["prompt"] == " a a a"
    with pytest.raises(InputError, match="the server adds 2"):
        served.serve((2,), (1,))


def test_no_query_of_a_run_has_the_prompt_of_another_but_in_a_batch_that_comes_again(does, url):
    served = engine(url)
    for tau_in, tau_out in (((9, 9, 20), (3, 3, 2)), ((9,), (3,)), ((9,), (4,)), ((9, 20), (3, 2))):
        served.serve(tau_in, tau_out)
    prompts = [tuple(body["prompt"][:4]) for body in does.bodies[1:]]  # the first asks for no batch
    assert len(set(prompts)) == len(prompts) == 7
    served.serve((9,), (3,))
    assert tuple(does.bodies[-1]["prompt"][:4]) == prompts[3]


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"stops_at": 3}, {"server": "plain"}, r"3 tokens instead of 6\. Say which server"),
        ({"breaks_at": 2}, {}, "broke off"),
        ({"fails": True}, {}, "503 .*out of order"),
        ({"begins": 9, "takes_tokens": False}, {"prompt": "text"}, "a prompt of 14 tokens instead of 6"),
    ],
)
def test_a_servers_faults_are_told(does, url, change, settings, message):
    served = engine(url, **settings)
    for name, value in change.items():
        setattr(does, name, value)
    with pytest.raises(InputError, match=message):
        served.serve((6,), (6,))


@pytest.mark.parametrize(
    ("behaviour", "settings", "message"),
    [
        ({"models": ("one", "two")}, {}, "lists 2 models .one, two.: set backend.model"),
        ({"takes_tokens": False}, {"prompt": "tokens"}, "prompt must be a string"),
        ({"takes_tokens": False}, {"word": "a"}, "times the word 'a' are"),
        ({"key": "right"}, {}, "401"),
        ({}, {"server": "vlm"}, "backend.server=vlm: one of auto, vllm"),
        ({}, {"url": "localhost:8000"}, "expected an address"),
        ({}, {"url": "http://127.0.0.1:9/v1"}, "cannot be reached"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_do(does, url, behaviour, settings, message):
    for name, value in behaviour.items():
        setattr(does, name, value)
    with pytest.raises(InputError, match=message):
        engine(**{"url": url, **settings})


def test_a_key_is_read_from_the_environment(does, url, monkeypatch):
    does.key = "right"
    monkeypatch.setenv("SERVER_KEY", "right")
    assert engine(url, key_variable="SERVER_KEY").serve((3,), (2,)).runtime_s > 0


def test_a_server_that_is_not_there_is_unavailable_with_what_to_do(url):
    assert OpenAIBackend(url=url).unavailable() is None
    assert "Start the server" in OpenAIBackend(url="http://127.0.0.1:9/v1").unavailable()
