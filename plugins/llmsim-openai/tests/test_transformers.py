"""Against a real server: transformers' own `serve`, with a tiny random model made here."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest

from llmsim.api import Cell, NotMeasured
from llmsim.testing import BenchConformance, EngineConformance
from llmsim_openai.backend import OpenAIBackend

pytest.importorskip("transformers", reason="pip install 'llmsim-openai[test]'")
pytest.importorskip("fastapi", reason="pip install 'llmsim-openai[test]'")
pytest.importorskip("accelerate", reason="pip install 'llmsim-openai[test]'")
pytest.importorskip("uvicorn", reason="pip install 'llmsim-openai[test]'")

START_S = 120.0
SERVE = "from transformers.cli.transformers import main; main()"


def tiny_model(folder: Path) -> None:
    """A Llama of two layers, and a tokenizer of one token a word."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {
        word: number for number, word in enumerate(["<unk>", "<end>", "a", *(f"w{n}" for n in range(93))])
    }
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>").save_pretrained(
        folder
    )
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=len(words), max_position_embeddings=256, eos_token_id=1, bos_token_id=None, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "server.log").open("w")
    words = ["serve", str(folder), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, *words],
        stdout=log,
        stderr=log,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    try:
        made = OpenAIBackend(
            url=f"http://127.0.0.1:{port}/v1",
            model=str(folder),
            server="transformers",
            max_tokens=200,
            timeout_s=60,
        )
        deadline = time.monotonic() + START_S
        while made.unavailable() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        assert made.unavailable() is None, (folder / "server.log").read_text()[-2000:]
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()
        shutil.rmtree(folder)


class TestServer(EngineConformance):
    @pytest.fixture(autouse=True)
    def _served(self, backend):
        self.backend = backend

    def open_engine(self):
        return self.backend.open(deployment=None)


class TestCells(BenchConformance):
    """This server serves one query after another: a batch never decodes together."""

    cells = (Cell("prefill", 2, 8, 1), Cell("decode", 1, 64, 5), Cell("generation", 1, 8, 4))

    @pytest.fixture(autouse=True)
    def _served(self, backend):
        self.backend = backend

    def open_bench(self):
        target = SimpleNamespace(kv_cache=True, model=SimpleNamespace(context_tokens=256))
        return self.backend.open_bench(target)

    def test_a_whole_answer_is_its_prefill_and_its_steps(self):
        bench = self.open_bench()
        cells = (Cell("prefill", 1, 64, 1), Cell("decode", 1, 64, 33), Cell("generation", 1, 64, 33))
        rounds = [[bench.prepare(cell).run(0.0).seconds for cell in cells] for _ in range(9)]
        # The model is so small that the host's other work shows: roughly, and in most rounds.
        assert 1 / 3 < median((prefill + decode) / whole for prefill, decode, whole in rounds) < 3
        with pytest.raises(NotMeasured, match="of 2 queries at once"):
            bench.prepare(Cell("decode", 2, 8, 5)).run(0.0)
        bench.close()


def test_more_tokens_take_longer_and_each_is_counted(backend):
    engine = backend.open(deployment=None)
    engine.serve((8,), (4,))
    short = min(engine.serve((8,), (4,)).runtime_s for _ in range(3))
    long = min(engine.serve((8,), (150,)).runtime_s for _ in range(3))
    assert long > 3 * short
    (first_s, step_s), *_ = engine.timings()
    assert first_s > 0
    assert 0 < step_s < long
    assert len(engine.generated()[0]) == 150
