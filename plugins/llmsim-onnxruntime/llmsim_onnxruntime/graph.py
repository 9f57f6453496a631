"""A decoder as an ONNX graph, built from the description of its architecture.

Inputs: `input_ids` (rows, new); `seqlens_k` (rows,): tokens in each row's cache after the pass, less one;
`total_sequence_length`: the longest of them; `last` (rows,): place of each row's last new token among all
rows' (rows * new); `past_key_values.N.key` and `.value` (rows, heads, capacity, dimension). Outputs:
`next_ids` (rows, 1), the likeliest next tokens; `logits` (rows, vocabulary); `present.N.key` and `.value`,
which may be the same buffers as the past.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from llmsim_onnxruntime.external import ExternalData
from llmsim_onnxruntime.quantised import BITS, BLOCK, quantise
from llmsim_onnxruntime.weights import EMBEDDING, HEAD, LAST_NORM, layer_name

if TYPE_CHECKING:
    from llmsim.api import Model

MICROSOFT = "com.microsoft"
FILE, DATA = "model.onnx", "model.onnx.data"
IR_VERSION, OPSET = 10, 20
NORM_EPSILON = 1e-6
ROTARY_BASE = 10_000.0
# Products of quantised weights are taken with activations in 8 bits (4), or with those in fp32 (1).
ACTIVATIONS_INT8, ACTIVATIONS_FP32 = 4, 1

# A tensor by its name.
Source = Callable[[str], NDArray[np.float32]]


@dataclass(frozen=True)
class Making:
    """How a graph is made.

    Attributes:
        precision: of the matrices: fp32, int8 or int4; all else is fp32.
        max_tokens: the longest query's, prompt and answer.
        accuracy_level: of MatMulNBits.
    """

    precision: str
    max_tokens: int
    accuracy_level: int = ACTIVATIONS_INT8


def write_graph(model: Model, tensor: Source, making: Making, folder: Path) -> Path:
    """Write `model.onnx` and, beside it, its weights; one tensor is in memory at a time.

    Args:
        model: the architecture.
        tensor: its weights, (outputs, inputs), by the names of `weights.shapes`.
        making: precision and length.
        folder: an existing one.

    Returns:
        The graph's file.
    """
    with ExternalData(folder / DATA) as data:
        graph = _Builder(model, tensor, making, data).graph()
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    proto = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="llmsim")
    onnx.save(proto, folder / FILE)
    return folder / FILE


@dataclass
class _Builder:
    model: Model
    tensor: Source
    making: Making
    data: ExternalData
    nodes: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)

    def graph(self) -> Any:
        """The whole decoder."""
        self._keep("embedding", self.tensor(EMBEDDING))
        self._rotation()
        residual = self._node("Gather", ["embedding", "input_ids"], "embedded")
        normed = self._norm(residual, self.tensor(layer_name(0, "input_layernorm.weight")), "first.norm")
        for number in range(self.model.num_hidden_layers):
            attended = self._attention(normed, number)
            after = self.tensor(layer_name(number, "post_attention_layernorm.weight"))
            normed, residual = self._add_norm(attended, residual, after, f"{number}.between")
            block = self._block(normed, number)
            is_last = number == self.model.num_hidden_layers - 1
            following = LAST_NORM if is_last else layer_name(number + 1, "input_layernorm.weight")
            normed, residual = self._add_norm(block, residual, self.tensor(following), f"{number}.after")
        self._head(normed)
        return helper.make_graph(self.nodes, "decoder", *self._values(), initializer=self.initializers)

    def _attention(self, normed: str, number: int) -> str:
        """A layer's attention over its cache, rotary positions included; the name of its output."""
        model, at = self.model, f"{number}.attention"
        name = [layer_name(number, f"self_attn.{letter}_proj") for letter in "qkv"]
        qkv = self._linear(
            normed, np.concatenate([self.tensor(f"{one}.weight") for one in name]), f"{at}.qkv"
        )
        if model.qkv_bias:
            bias = np.concatenate([self.tensor(f"{one}.bias") for one in name])
            qkv = self._node("Add", [qkv, self._keep(f"{at}.bias", bias)], f"{at}.biased")
        given = self._normed_heads(qkv, number) if model.qk_norm else [qkv, "", ""]
        past = [f"past_key_values.{number}.{what}" for what in ("key", "value")]
        self._node(
            "GroupQueryAttention",
            [*given, *past, "seqlens_k", "total_sequence_length", "cosines", "sines"],
            [f"{at}.mixed", f"present.{number}.key", f"present.{number}.value"],
            domain=MICROSOFT,
            num_heads=model.num_attention_heads,
            kv_num_heads=model.num_key_value_heads,
            do_rotary=1,
            local_window_size=model.sliding_window_tokens or -1,
        )
        return self._linear(
            f"{at}.mixed", self.tensor(layer_name(number, "self_attn.o_proj.weight")), f"{at}.out"
        )

    def _normed_heads(self, qkv: str, number: int) -> list[str]:
        """Queries, keys and values apart; a norm over each head of queries and of keys."""
        model, at = self.model, f"{number}.attention"
        heads = (model.num_attention_heads, model.num_key_value_heads, model.num_key_value_heads)
        sizes = self._keep(f"{at}.sizes", np.array(heads, dtype=np.int64) * model.head_dim)
        parts = [f"{at}.{letter}" for letter in "qkv"]
        self._node("Split", [qkv, sizes], parts, axis=-1)
        for place, letter in enumerate("qk"):
            apart = self._keep(f"{at}.{letter}.apart", np.array([0, 0, heads[place], model.head_dim]))
            together = self._keep(f"{at}.{letter}.together", np.array([0, 0, heads[place] * model.head_dim]))
            by_head = self._node("Reshape", [parts[place], apart], f"{at}.{letter}.heads")
            weight = self.tensor(layer_name(number, f"self_attn.{letter}_norm.weight"))
            normed = self._norm(by_head, weight, f"{at}.{letter}.norm")
            parts[place] = self._node("Reshape", [normed, together], f"{at}.{letter}.flat")
        return parts

    def _block(self, normed: str, number: int) -> str:
        """A layer's gated MLP, SiLU as two nodes; the name of its output."""
        at = f"{number}.block"
        gate, up, down = (
            self.tensor(layer_name(number, f"mlp.{what}_proj.weight")) for what in ("gate", "up", "down")
        )
        gated = self._linear(normed, gate, f"{at}.gate")
        share = self._node("Sigmoid", [gated], f"{at}.share")
        smooth = self._node("Mul", [gated, share], f"{at}.smooth")
        inner = self._node("Mul", [smooth, self._linear(normed, up, f"{at}.up")], f"{at}.inner")
        return self._linear(inner, down, f"{at}.down")

    def _head(self, normed: str) -> None:
        """Logits of each row's last token only, and the likeliest token."""
        flat = self._keep("flat", np.array([-1, self.model.hidden_size]))
        every = self._node("Reshape", [normed, flat], "every")
        rows = self._node("Gather", [every, "last"], "rows", axis=0)
        tied = self.model.tied_embeddings
        weight = self.tensor(EMBEDDING if tied else HEAD)
        if self.making.precision in BITS:
            self._linear(rows, weight, "head", output="logits")
        else:
            stored = "embedding" if tied else self._keep("head.weight", weight)
            self._node("Gemm", [rows, stored], "logits", transB=1)
        self._node("ArgMax", ["logits"], "next_ids", axis=-1, keepdims=1)

    def _linear(self, x: str, weight: NDArray[np.float32], at: str, output: str | None = None) -> str:
        """The product with a matrix (outputs, inputs)."""
        if self.making.precision not in BITS:
            return self._node("MatMul", [x, self._keep(f"{at}.weight", weight.T)], output or at)
        outputs, inputs = weight.shape
        packed = quantise(weight, BITS[self.making.precision])
        return self._node(
            "MatMulNBits",
            [
                x,
                self._keep(f"{at}.levels", packed.data),
                self._keep(f"{at}.scales", packed.scales.reshape(-1)),
            ],
            output or at,
            domain=MICROSOFT,
            K=inputs,
            N=outputs,
            bits=packed.bits,
            block_size=BLOCK,
            accuracy_level=self.making.accuracy_level,
        )

    def _norm(self, x: str, weight: NDArray[np.float32], at: str) -> str:
        """RMS norm, which ONNX Runtime calls simplified; the name of its output."""
        inputs = [x, self._keep(f"{at}.weight", weight)]
        return self._node("SimplifiedLayerNormalization", inputs, at, axis=-1, epsilon=NORM_EPSILON)

    def _add_norm(self, x: str, residual: str, weight: NDArray[np.float32], at: str) -> tuple[str, str]:
        """The residual with x added, and its RMS norm, in one operator; names of norm and sum."""
        self._node(
            "SkipSimplifiedLayerNormalization",
            [x, residual, self._keep(f"{at}.weight", weight)],
            [f"{at}.norm", "", "", f"{at}.sum"],
            domain=MICROSOFT,
            epsilon=NORM_EPSILON,
        )
        return f"{at}.norm", f"{at}.sum"

    def _rotation(self) -> None:
        """Cosines and sines of rotary positions, (positions, half a head), which attention reads."""
        half = np.arange(0, self.model.head_dim, 2, dtype=np.float64) / self.model.head_dim
        angles = np.arange(self.making.max_tokens)[:, None] / ROTARY_BASE**half
        self._keep("cosines", np.cos(angles).astype(np.float32))
        self._keep("sines", np.sin(angles).astype(np.float32))

    def _values(self) -> tuple[list[Any], list[Any]]:
        """The graph's inputs and outputs, in the types and shapes that the module says."""
        model, value = self.model, helper.make_tensor_value_info
        cache: list[str | int | None] = ["rows", model.num_key_value_heads, "capacity", model.head_dim]
        inputs = [
            value("input_ids", TensorProto.INT64, ["rows", "new"]),
            value("seqlens_k", TensorProto.INT32, ["rows"]),
            value("total_sequence_length", TensorProto.INT32, []),
            value("last", TensorProto.INT64, ["rows"]),
        ]
        outputs = [
            value("next_ids", TensorProto.INT64, ["rows", 1]),
            value("logits", TensorProto.FLOAT, ["rows", model.vocab_size]),
        ]
        for number in range(model.num_hidden_layers):
            for what in ("key", "value"):
                inputs.append(value(f"past_key_values.{number}.{what}", TensorProto.FLOAT, cache))
                outputs.append(value(f"present.{number}.{what}", TensorProto.FLOAT, cache))
        return inputs, outputs

    def _keep(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant, written to the file of weights; its name."""
        self.initializers.append(self.data.tensor(name, array))
        return name

    def _node(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: str | Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Append a node; the name of its first output."""
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        self.nodes.append(
            helper.make_node(kind, list(inputs), names, name=names[0], domain=domain, **attributes)
        )
        return names[0]
