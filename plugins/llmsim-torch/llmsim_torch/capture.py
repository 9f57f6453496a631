"""Work captured as a CUDA graph: one launch where there were hundreds."""

from __future__ import annotations

from collections.abc import Callable

import torch

Memory = tuple[int, int]


def captured(work: Callable[[], None], memory: Memory | None) -> tuple[Callable[[], None], Memory]:
    """What replays the work, and the pool of memory that it shares with later ones.

    The work runs twice first, which settles what its libraries choose; whoever calls restores its state.

    Args:
        work: launches kernels on the current stream, with the same tensors every time.
        memory: of an earlier capture; never replay two that share one at the same time.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=memory):
        work()
    return graph.replay, graph.pool()
