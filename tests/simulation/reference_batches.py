"""The serial and static disciplines played plainly, for comparison with the simulator."""

from __future__ import annotations

from math import inf

import numpy as np


def play(queries, serve, instances, max_batch, wait_s, shared):
    """Start, first token, end and instance of each query, shape (4, n); one instance chosen per query.

    Args:
        serve: (tau_in, tau_out) of a batch to (runtime, first token), seconds.
        shared: one queue for all; otherwise each query joins the instance with the fewest.
    """
    arrival_s = queries.arrival_s.tolist()
    tau_in, tau_out = queries.tau_in.tolist(), queries.tau_out.tolist()
    n = len(arrival_s)
    rows = np.full((4, n), np.nan)
    queues = [[] for _ in range(1 if shared else instances)]
    free_s = [-inf] * instances
    serving = [[] for _ in range(instances)]
    upcoming, now_s = 0, -inf

    def load(index):
        """Queries waiting at an instance and served by it now."""
        ends = [query for query in serving[index] if rows[2, query] > now_s]
        return len(queues[index]) + len(ends)

    while True:
        starts = []  # (when, queue, instance) of every batch that could start next
        for number, queue in enumerate(queues):
            if queue:
                mine = range(instances) if shared else [number]
                soonest = max(min(free_s[index] for index in mine), now_s)
                due_s = soonest
                if len(queue) < max_batch:
                    due_s = max(soonest, arrival_s[queue[0]] + wait_s)
                starts.append((due_s, number, min(index for index in mine if free_s[index] <= due_s)))
        first = min(starts, default=(inf, 0, 0))
        if upcoming < n and arrival_s[upcoming] <= first[0]:
            now_s = arrival_s[upcoming]
            chosen = 0 if shared else min(range(instances), key=load)
            queues[chosen].append(upcoming)
            upcoming += 1
            continue
        if not starts:
            return rows
        now_s, number, instance = first
        batch, queues[number] = queues[number][:max_batch], queues[number][max_batch:]
        runtime_s, first_token_s = serve([tau_in[q] for q in batch], [tau_out[q] for q in batch])
        for query in batch:
            rows[:, query] = now_s, now_s + first_token_s, now_s + runtime_s, instance
        free_s[instance] = now_s + runtime_s
        serving[instance] = batch
