from llmsim_torch.padding import MOST_CAPTURED_TOKENS, SLOW, padded


def test_a_prompt_is_padded_to_the_next_size_that_is_not_slow():
    rooms = [padded(tokens) for tokens in range(1, MOST_CAPTURED_TOKENS + 1)]
    assert all(room >= tokens for tokens, room in enumerate(rooms, start=1))
    assert rooms == sorted(rooms)
    assert not SLOW & set(rooms)
    assert all(padded(room) == room for room in rooms)
    assert padded(MOST_CAPTURED_TOKENS + 1) == MOST_CAPTURED_TOKENS + 1
