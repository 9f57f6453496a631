"""The graph of an architecture: made, and opened."""

from __future__ import annotations

import tempfile
from math import prod
from pathlib import Path
from shutil import disk_usage
from typing import Any

from llmsim.api import InputError, Model
from llmsim_onnxruntime.graph import Making, write_graph
from llmsim_onnxruntime.memory import GB, available_bytes, require
from llmsim_onnxruntime.quantised import BITS, BLOCK
from llmsim_onnxruntime.resident import Dimensions
from llmsim_onnxruntime.session import open_session
from llmsim_onnxruntime.weights import EMBEDDING, FAMILIES, random_tensor, shapes

PRECISIONS = ("fp32", *BITS)
BYTES_PER_FP32 = 4


def weight_bytes(model: Model, precision: str) -> int:
    """Bytes of the file of weights: matrices in the precision, all else in fp32."""
    sizes = {name: prod(shape) for name, shape in shapes(model).items()}
    if precision not in BITS:
        return BYTES_PER_FP32 * sum(sizes.values())
    every = sum(sizes.values()) - sizes[EMBEDDING] * (not model.tied_embeddings)
    return BYTES_PER_FP32 * sizes[EMBEDDING] + every * (BITS[precision] * BLOCK + 32) // (8 * BLOCK)


def dimensions_of(model: Model, max_tokens: int) -> Dimensions:
    """The dimensions of an architecture's graph, for queries of at most so many tokens."""
    return Dimensions(
        layers=model.num_hidden_layers,
        heads=model.num_key_value_heads,
        head_dim=model.head_dim,
        query_heads=model.num_attention_heads,
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        vocab_size=model.vocab_size,
        max_tokens=max_tokens,
    )


def open_random(model: Model, making: Making, threads: int, seed: int) -> Any:
    """A session of an architecture with random weights. Its file is gone from the disk once it is open.

    Raises:
        InputError: a family or precision that there is not, or a full disk.
        OutOfMemory: the weights do not fit.
    """
    if model.family not in FAMILIES:
        raise InputError(
            f"model {model.name}: the family '{model.family}' is not one of {', '.join(FAMILIES)}, whose "
            "graphs backend=onnxruntime builds. Give a file of your own: backend.path=FILE.onnx"
        )
    if making.precision not in PRECISIONS:
        raise InputError(
            f"{model.name} in {making.precision}: backend=onnxruntime runs {', '.join(PRECISIONS)} on the "
            "CPU; choose one with task.precision=fp32 for a campaign; a run serves in the precision of its "
            "trials (trials.path)"
        )
    size = weight_bytes(model, making.precision)
    # The session packs the matrices anew beside the file, whose pages the system may drop.
    require(size, f"the weights of {model.name} in {making.precision}", available_bytes())
    place = tempfile.gettempdir()
    if disk_usage(place).free < size:
        raise InputError(
            f"{place}: {size / GB:.3g} GB are needed for {model.name}'s weights while they are loaded; "
            f"{disk_usage(place).free / GB:.3g} GB are free. Set TMPDIR to a folder with more."
        )
    every = shapes(model)
    with tempfile.TemporaryDirectory(prefix="llmsim-onnx-", ignore_cleanup_errors=True) as folder:
        path = write_graph(model, lambda name: random_tensor(name, every[name], seed), making, Path(folder))
        return open_session(path, threads, model.name)
