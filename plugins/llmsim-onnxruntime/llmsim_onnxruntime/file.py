"""A user's own ONNX file: checked, and given the inputs and outputs of `graph`.

Files that export tools write take an attention mask, and give logits of every token. Nodes put before and
behind turn `seqlens_k` into the mask (and positions), and the last token's logits into the next token; the
file itself stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from llmsim.api import InputError
from llmsim_onnxruntime.memory import available_bytes, require
from llmsim_onnxruntime.resident import Dimensions
from llmsim_onnxruntime.session import open_session

if TYPE_CHECKING:
    from llmsim.api import Model

ATTENTION = "GroupQueryAttention"
# Place of the cosines among that operator's inputs: as many rows as a query may have tokens.
COSINES = 7
CACHE = re.compile(r"past_key_values\.(\d+)\.(key|value)")
EXPORTED = ("input_ids", "attention_mask", "position_ids")
OURS = ("input_ids", "seqlens_k", "total_sequence_length", "last")
DTYPES: dict[int, type[np.floating[Any]]] = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


def open_file(path: Path, model: Model, max_tokens: int, threads: int) -> tuple[Any, Dimensions]:
    """A session of a user's file, and its dimensions.

    Args:
        model: what the file is said to be.
        max_tokens: of the longest query; fewer where the file's positions end earlier.

    Raises:
        InputError: the file is no such model, or keeps its cache in another way.
        OutOfMemory: its weights do not fit.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors, which onnx does not name
        raise InputError(f"{path}: not an ONNX file ({str(error)[:200]})") from error
    require(_bytes_of(path, proto), f"the weights of {path.name}", available_bytes())
    graph = proto.graph
    inputs = {value.name: value for value in graph.input}
    dimensions = _dimensions(path, graph, inputs, model, max_tokens)
    if "seqlens_k" not in inputs:
        _adapt(graph, inputs)
    return open_session(proto.SerializeToString(), threads, str(path), path.parent), dimensions


def _dimensions(path: Path, graph: Any, inputs: dict[str, Any], model: Model, max_tokens: int) -> Dimensions:
    """Of the file's graph; raises InputError where it is not the model, or cannot be fed."""
    caches = {name: value for name, value in inputs.items() if CACHE.fullmatch(name)}
    ours = "seqlens_k" in inputs
    unknown = sorted(set(inputs) - set(caches) - set(OURS if ours else EXPORTED) - _initialized(graph))
    attentions = [node for node in graph.node if node.op_type == ATTENTION]
    if not caches or not attentions:
        raise InputError(
            f"{path}: no {ATTENTION} with past_key_values.N.key and .value. Without it every step copies the "
            "whole cache. Export the model with onnxruntime-genai's builder for the CPU."
        )
    if unknown or "input_ids" not in inputs or not (ours or "attention_mask" in inputs):
        raise InputError(
            f"{path}: its inputs are {', '.join(sorted(set(inputs) - set(caches)))} beside the cache; "
            f"{', '.join(EXPORTED)} (the last may lack) are what backend=onnxruntime feeds."
        )
    shape = caches[min(caches)].type.tensor_type
    found = (len(caches) // 2, shape.shape.dim[1].dim_value, shape.shape.dim[3].dim_value)
    wanted = (model.num_hidden_layers, model.num_key_value_heads, model.head_dim)
    if found != wanted:
        raise InputError(
            f"{path}: its cache has (layers, heads, dimension) {found}; {model.name}'s has {wanted}. "
            "Choose the model that the file holds."
        )
    if shape.elem_type not in DTYPES:
        raise InputError(f"{path}: its cache is neither float nor float16.")
    return Dimensions(
        layers=found[0],
        heads=found[1],
        head_dim=found[2],
        query_heads=model.num_attention_heads,
        hidden_size=model.hidden_size,
        intermediate_size=model.intermediate_size,
        vocab_size=model.vocab_size,
        max_tokens=min([max_tokens, *_positions(graph, attentions)]),
        every_logit=not ours,
        dtype=DTYPES[shape.elem_type],
    )


def _positions(graph: Any, attentions: list[Any]) -> list[int]:
    """Rows of the cosines that attention reads; none where it has no table of its own."""
    tables = {node.input[COSINES] for node in attentions if len(node.input) > COSINES}
    return [tensor.dims[0] for tensor in graph.initializer if tensor.name in tables]


def _initialized(graph: Any) -> set[str]:
    """Names of the graph's constants, which old files list among its inputs."""
    return {tensor.name for tensor in graph.initializer}


def _bytes_of(path: Path, proto: Any) -> int:
    """Of the file and of what lies beside it."""
    beside = {
        entry.value
        for tensor in proto.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = [path, *(path.parent / name for name in beside)]
    return sum(file.stat().st_size for file in files if file.is_file())


def _adapt(graph: Any, inputs: dict[str, Any]) -> None:
    """Feed the file's mask and positions from our inputs, and read the next token off its logits."""
    _rename(graph, {name: f"file.{name}" for name in (*OURS[1:], "next_ids")})
    kind = inputs["attention_mask"].type.tensor_type.elem_type
    before = _mask(kind)
    if "position_ids" in inputs:
        before += _places(inputs["position_ids"].type.tensor_type.elem_type)
    kept = [value for value in graph.input if value.name not in EXPORTED[1:]]
    nodes = [*before, *graph.node, *_next_token()]
    for name, values in (("input", kept), ("node", nodes)):
        graph.ClearField(name)
        getattr(graph, name).extend(values)
    value = helper.make_tensor_value_info
    graph.input.extend(
        [
            value("seqlens_k", TensorProto.INT32, ["rows"]),
            value("total_sequence_length", TensorProto.INT32, []),
            value("last", TensorProto.INT64, ["rows"]),
        ]
    )
    graph.output.append(value("next_ids", TensorProto.INT64, ["rows", 1]))
    constants = {"zero": 0, "one": 1, "axis_1": [1], "flat": [-1]}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(number, dtype=np.int64), f"llmsim.{name}")
        for name, number in constants.items()
    )


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Make room for our names where the file uses them for something within."""
    for node in graph.node:
        for places in (node.input, node.output):
            for place, name in enumerate(places):
                places[place] = names.get(name, name)
    for value in (*graph.initializer, *graph.value_info):
        value.name = names.get(value.name, value.name)


def _mask(kind: int) -> list[Any]:
    """attention_mask (rows, total): 1 at every token that is in the cache after the pass."""
    return [
        _made("Cast", ["total_sequence_length"], "total", to=TensorProto.INT64),
        _made("Range", ["llmsim.zero", "llmsim.total", "llmsim.one"], "columns"),
        _made("Cast", ["seqlens_k"], "places", to=TensorProto.INT64),
        _made("Unsqueeze", ["llmsim.places", "llmsim.axis_1"], "highest"),
        _made("LessOrEqual", ["llmsim.columns", "llmsim.highest"], "cached"),
        helper.make_node("Cast", ["llmsim.cached"], ["attention_mask"], to=kind),
    ]


def _places(kind: int) -> list[Any]:
    """position_ids (rows, new): from 0 in a pass over prompts; in a step, the place of the token."""
    return [
        _made("Shape", ["input_ids"], "news", start=1, end=2),
        _made("Squeeze", ["llmsim.news"], "new"),
        _made("Range", ["llmsim.zero", "llmsim.new", "llmsim.one"], "counted"),
        _made("Add", ["llmsim.highest", "llmsim.one"], "totals"),
        _made("Sub", ["llmsim.totals", "llmsim.new"], "past"),
        _made("Max", ["llmsim.past", "llmsim.zero"], "begin"),
        _made("Add", ["llmsim.begin", "llmsim.counted"], "position"),
        helper.make_node("Cast", ["llmsim.position"], ["position_ids"], to=kind),
    ]


def _next_token() -> list[Any]:
    """next_ids (rows, 1) of logits (rows, new, vocabulary)."""
    return [
        _made("Shape", ["logits"], "vocabulary", start=2, end=3),
        _made("Concat", ["llmsim.flat", "llmsim.vocabulary"], "two", axis=0),
        _made("Reshape", ["logits", "llmsim.two"], "every"),
        _made("Gather", ["llmsim.every", "last"], "rows", axis=0),
        _made("Cast", ["llmsim.rows"], "scores", to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["llmsim.scores"], ["next_ids"], axis=-1, keepdims=1),
    ]


def _made(kind: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    """A node of ours, whose output no name of the file's is like."""
    return helper.make_node(kind, inputs, [f"llmsim.{output}"], **attributes)
