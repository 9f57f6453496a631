"""The graph against transformers' own model, token by token, on the same random weights."""

import numpy as np
import pytest

from llmsim.testing import toy_model
from llmsim_onnxruntime.graph import ACTIVATIONS_FP32, ACTIVATIONS_INT8, Making, write_graph
from llmsim_onnxruntime.own import dimensions_of
from llmsim_onnxruntime.quantised import BITS, quantise
from llmsim_onnxruntime.recompute import Recompute
from llmsim_onnxruntime.resident import Resident
from llmsim_onnxruntime.session import open_session
from llmsim_onnxruntime.weights import EMBEDDING, shapes

from .tiny import loud

TOKENS = 11


def opened(model, folder, precision="fp32", accuracy_level=ACTIVATIONS_FP32):
    making = Making(precision, 64, accuracy_level)
    path = write_graph(model, loud(model), making, folder)
    return Resident(open_session(path, 1, model.name), dimensions_of(model, 64), seed=0)


def prompts(*lengths):
    rng = np.random.default_rng(0)
    return [rng.integers(96, size=length) for length in lengths]


def generated(resident, given, tokens=TOKENS):
    resident.arrange(len(given), max(map(len, given)) + tokens, max(map(len, given)))
    resident.prefill(given)()
    seen = [resident.tokens[:, 0].copy()]
    for _ in range(tokens - 1):
        resident.step(len(given))()
        seen.append(resident.tokens[:, 0].copy())
    return np.stack(seen, axis=1).tolist()


def by_transformers(model, tensor, given, found):
    """What transformers says comes next, after each prompt and each token that was found before."""
    torch = pytest.importorskip("torch", reason="PyTorch is what the graph is checked against")
    transformers = pytest.importorskip(
        "transformers", reason="its models are what the graph is checked against"
    )
    config = transformers.AutoConfig.for_model(
        model.family,
        max_position_embeddings=model.context_tokens,
        tie_word_embeddings=model.tied_embeddings,
        sliding_window=model.sliding_window_tokens,
        rms_norm_eps=1e-6,
        **{
            name: getattr(model, name)
            for name in (
                "hidden_size",
                "intermediate_size",
                "num_hidden_layers",
                "num_attention_heads",
                "num_key_value_heads",
                "head_dim",
                "vocab_size",
            )
        },
    )
    causal = transformers.AutoModelForCausalLM.from_config(config).eval()
    known = causal.load_state_dict(
        {name: torch.from_numpy(tensor(name)) for name in shapes(model)}, strict=False
    )
    assert known.unexpected_keys == []
    assert set(known.missing_keys) <= ({"lm_head.weight"} if model.tied_embeddings else set())
    answers = []
    for prompt, answer in zip(given, found, strict=True):
        ids = torch.tensor([[*prompt.tolist(), *answer]])
        with torch.inference_mode():
            likeliest = causal(ids).logits[0].argmax(-1)
        answers.append(likeliest[len(prompt) - 1 : -1].tolist())
    return answers


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_batch_of_different_lengths_generates_what_transformers_does(family, tmp_path):
    model = toy_model(family)
    given = prompts(5, 17, 9)
    found = generated(opened(model, tmp_path), given)
    assert found == by_transformers(model, loud(model), given, found)
    assert len({tuple(answer) for answer in found}) == len(given)


@pytest.mark.parametrize("precision", BITS)
def test_quantised_weights_generate_what_transformers_does_with_those_they_stand_for(precision, tmp_path):
    model = toy_model(tied_embeddings=True, vocab_size=96)
    tensor = loud(model)

    def stood_for(name):
        weight = tensor(name)
        if weight.ndim == 1 or name == EMBEDDING:
            return weight
        return quantise(weight, BITS[precision]).dense(weight.shape[1])

    # A tied head is quantised while the embedding is not, so the two are apart here.
    apart = toy_model(tied_embeddings=False)
    given = prompts(5, 9)
    found = generated(opened(model, tmp_path, precision), given)
    head = quantise(tensor(EMBEDDING), BITS[precision]).dense(model.hidden_size)
    wanted = by_transformers(
        apart, lambda name: head if name == "lm_head.weight" else stood_for(name), given, found
    )
    assert found == wanted


@pytest.mark.parametrize("precision", BITS)
def test_activations_in_eight_bits_change_logits_little(precision, tmp_path):
    ids = prompts(9)[0][None]
    given = {"input_ids": ids, "seqlens_k": np.array([8], np.int32), "last": np.array([8])}
    given["total_sequence_length"] = np.array(9, np.int32)
    cache = np.zeros((1, 2, 9, 16), np.float32)
    given |= {f"past_key_values.{n}.{what}": cache for n in (0, 1) for what in ("key", "value")}
    logits = []
    for level in (ACTIVATIONS_INT8, ACTIVATIONS_FP32):
        path = write_graph(toy_model(), loud(toy_model()), Making(precision, 64, level), tmp_path)
        logits.append(open_session(path, 1, "tiny").run(["logits"], given)[0].ravel())
    assert 0.98 < np.corrcoef(*logits)[0, 1] < 1


def test_a_step_moves_nothing_but_the_new_keys_and_values(tmp_path):
    resident = opened(toy_model(), tmp_path)
    resident.arrange(2, 32, 9)
    resident.prefill(prompts(9, 9))()
    cache = resident._caches["1.key"]
    place, before = cache.ctypes.data, cache.copy()
    resident.step(2)()
    changed = np.flatnonzero((cache != before).any(axis=(0, 1, 3)))
    assert changed.tolist() == [9]
    assert resident._caches["1.key"].ctypes.data == place


def test_the_first_rows_go_on_without_the_others(tmp_path):
    resident = opened(toy_model(), tmp_path)
    given = prompts(5, 9)
    together = generated(resident, given)
    resident.prefill(given)()
    seen = [resident.tokens[0, 0].copy()]
    for _ in range(4):
        resident.step(1)()
        seen.append(resident.tokens[0, 0].copy())
    assert seen == together[0][:5]
    assert resident.lengths.tolist() == [9, 9]


def test_without_a_cache_the_same_tokens_come(tmp_path):
    resident = opened(toy_model(), tmp_path)
    prompt = prompts(6)[0]
    wanted = generated(resident, [prompt])[0]
    recompute = Recompute(resident)
    recompute.arrange(6 + TOKENS)
    assert recompute.generate(prompt, TOKENS) == wanted


def test_weights_lie_beside_the_graph_so_that_it_may_exceed_two_gigabytes(tmp_path):
    model = toy_model()
    path = write_graph(model, loud(model), Making("fp32", 64), tmp_path)
    weights = 4 * sum(np.prod(shape) for shape in shapes(model).values())
    assert (tmp_path / "model.onnx.data").stat().st_size > 0.95 * weights
    assert path.stat().st_size < 0.1 * weights
