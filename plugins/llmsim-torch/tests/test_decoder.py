"""The decoder against transformers' own forward pass, token by token."""

import pytest
import torch

from llmsim.testing import toy_model
from llmsim.testing.toys import FAMILIES
from llmsim_torch.decoder import Decoder, Prompts
from llmsim_torch.ops import Cache, Heads, TorchOps
from llmsim_torch.recompute import Recompute
from llmsim_torch.resident import Resident
from llmsim_torch.weights import weights_of

from .tiny import made

CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def decoder(family, causal):
    shape = toy_model(family)
    heads = Heads(shape.num_attention_heads, shape.num_key_value_heads, shape.head_dim)
    return Decoder(weights_of(causal), heads, shape.sliding_window_tokens, 64, TorchOps())


def prompts(ids, past=0):
    count, tokens = ids.shape
    return Prompts(
        tokens=ids.reshape(-1),
        slots=torch.arange(count).repeat_interleave(tokens),
        positions=torch.arange(past, past + tokens).repeat(count),
        last=torch.arange(count) * tokens + tokens - 1,
        shape=(tokens,) * count,
        past=(past,) * count,
    )


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_prefill_and_steps_equal_transformers(family):
    causal = made(family)
    torch.manual_seed(1)
    ids = torch.randint(96, (3, 24))
    wanted = causal(ids).logits
    mine = decoder(family, causal)
    keys = torch.zeros(3, toy_model(family).num_key_value_heads, 64, 16)
    caches = [Cache(keys.clone(), keys.clone()) for _ in range(2)]
    torch.testing.assert_close(mine.prefill(prompts(ids[:, :16]), caches), wanted[:, 15], **CLOSE)
    slots, lengths = torch.arange(3), torch.full((3,), 16, dtype=torch.int32)
    for place in range(16, 24):
        logits = mine.step(ids[:, place], caches, slots, lengths)
        torch.testing.assert_close(logits, wanted[:, place], **CLOSE)
        lengths += 1


@torch.inference_mode()
def test_a_prompt_in_two_pieces_equals_the_whole():
    causal = made()
    ids = torch.randint(96, (2, 20))
    mine = decoder("llama", causal)
    caches = [Cache(torch.zeros(2, 2, 64, 16), torch.zeros(2, 2, 64, 16)) for _ in range(2)]
    mine.prefill(prompts(ids[:, :12]), caches)
    second = mine.prefill(prompts(ids[:, 12:], past=12), caches)
    torch.testing.assert_close(second, causal(ids).logits[:, -1], **CLOSE)


def drawn(tokens):
    """A prompt without token 0, which `generate` would take for padding and leave out of attention."""
    return torch.randint(1, 96, (tokens,), generator=torch.Generator().manual_seed(tokens))


def generate(causal, prompt, tokens):
    made = causal.generate(
        prompt[None],
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    return made[0, len(prompt) :]


def test_slots_of_different_lengths_generate_what_transformers_does():
    causal = made()
    resident = Resident(decoder("llama", causal), 4 * 64)
    assert resident.arrange(4) == 64
    given = [drawn(tokens) for tokens in (5, 11)]
    resident.prefill([1, 3], given)()
    step = resident.step([1, 3])
    seen = [resident.tokens[[1, 3]].clone()]
    for _ in range(7):
        step()
        seen.append(resident.tokens[[1, 3]].clone())
    for row, prompt in enumerate(given):
        assert torch.stack(seen)[:, row].tolist() == generate(causal, prompt, 8).tolist()
    assert resident.lengths.tolist() == [0, 12, 0, 18]


def test_without_a_cache_the_same_tokens_come():
    causal = made()
    recompute = Recompute(decoder("llama", causal), 64)
    prompt = drawn(9)
    recompute.begin(prompt)
    assert recompute.generate(9, 12).tolist() == generate(causal, prompt, 12).tolist()


def test_the_model_that_the_weights_came_from_still_works():
    causal = made()
    ids = torch.randint(96, (1, 8))
    before = causal(ids).logits
    weights_of(causal)
    torch.testing.assert_close(causal(ids).logits, before)


def test_the_bytes_of_a_step_are_all_weights_but_the_embedding():
    causal = made()
    every = sum(parameter.numel() for parameter in causal.parameters())
    assert weights_of(causal).bytes_per_step == (every - causal.model.embed_tokens.weight.numel()) * 4


def test_an_unknown_family_is_refused():
    causal = made()
    causal.config.model_type = "falcon"
    with pytest.raises(ValueError, match="falcon"):
        weights_of(causal)
