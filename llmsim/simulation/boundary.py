"""When an iteration ends: the one formula that every account of a step's time shares.

While the batch stays the same, each step adds one token to each of its queries, so a step takes a fixed
amount longer than the one before, and any number of steps sums in closed form.
"""

from __future__ import annotations

from math import sqrt


def boundary_s(start_s: float, step_s: float, growth_s: float, steps: int) -> float:
    """When the given number of steps is done, seconds.

    Args:
        start_s: when the first step begins.
        step_s: seconds of the first step.
        growth_s: seconds by which each step is longer than the one before.
        steps: how many, at least 0.
    """
    return start_s + steps * (step_s + 0.5 * growth_s * (steps - 1))


def steps_until(start_s: float, step_s: float, growth_s: float, time_s: float) -> int:
    """The least number of steps whose boundary lies at or after `time_s`.

    The positive root of `growth/2 k^2 + (step - growth/2) k = time - start`, in the form that does not
    cancel, then moved by a step where rounding put it on the wrong side of `time_s`.
    """
    ahead_s = time_s - start_s
    if ahead_s <= 0.0:
        return 0
    linear_s = step_s - 0.5 * growth_s
    steps = int(2.0 * ahead_s / (linear_s + sqrt(linear_s * linear_s + 2.0 * growth_s * ahead_s))) + 1
    while boundary_s(start_s, step_s, growth_s, steps) < time_s:
        steps += 1
    while steps > 0 and boundary_s(start_s, step_s, growth_s, steps - 1) >= time_s:
        steps -= 1
    return steps
