"""Files as export tools write them: with a mask, perhaps positions, and logits of every token."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from llmsim_onnxruntime.graph import MICROSOFT, Making, write_graph

from .tiny import loud


def own_file(folder, model):
    return write_graph(model, loud(model), Making("fp32", 64), folder)


def exported_file(folder, model, attention="GroupQueryAttention", positions=False):
    """A graph of ours, changed into an export tool's.

    Args:
        positions: rotate queries and keys by `position_ids`, outside attention, and keep the cache in fp16.
    """
    proto = onnx.load(own_file(folder, model), load_external_data=False)
    graph = proto.graph
    inputs = [value for value in graph.input if value.name.startswith(("input_ids", "past"))]
    names = ["attention_mask", "position_ids"] if positions else ["attention_mask"]
    inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", None]) for name in names]
    nodes = [
        *_lengths(),
        *[node for node in graph.node if node.name not in ("every", "rows", "logits", "next_ids")],
    ]
    nodes += [
        helper.make_node("Transpose", ["head.weight"], ["turned"]),
        helper.make_node("MatMul", [f"{model.num_hidden_layers - 1}.after.norm", "turned"], ["logits"]),
    ]
    if positions:
        nodes = [part for node in nodes for part in _rotated(node, model)]
    for node in nodes:
        node.op_type = attention if node.op_type == "GroupQueryAttention" else node.op_type
    for name, values in (("input", inputs), ("node", nodes), ("output", list(graph.output)[1:])):
        graph.ClearField(name)
        getattr(graph, name).extend(values)
    graph.output[0].type.tensor_type.shape.ClearField("dim")
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    heads = np.array([model.num_attention_heads, *[model.num_key_value_heads] * 2])
    graph.initializer.append(numpy_helper.from_array(heads * model.head_dim, "sizes"))
    if positions:
        for value in (*graph.input, *graph.output):
            if value.name.startswith(("past", "present")):
                value.type.tensor_type.elem_type = TensorProto.FLOAT16
    exported = folder / "exported.onnx"
    onnx.save(proto, exported)
    return exported


def _lengths():
    """What attention wants to know, from the mask; under the names that our own graph has for them."""
    return [
        helper.make_node("ReduceSum", ["attention_mask", "one"], ["counts"], keepdims=0),
        helper.make_node("Sub", ["counts", "one"], ["less"]),
        helper.make_node("Cast", ["less"], ["seqlens_k"], to=TensorProto.INT32),
        helper.make_node("Shape", ["attention_mask"], ["totals"], start=1, end=2),
        helper.make_node("Squeeze", ["totals"], ["total"]),
        helper.make_node("Cast", ["total"], ["total_sequence_length"], to=TensorProto.INT32),
    ]


def _rotated(node, model):
    """A node as exporters write it: attention in fp16, rotary positions as nodes before it."""
    if node.op_type != "GroupQueryAttention":
        return [node]
    at, mixed = node.name, node.output[0]
    q, k, v = (f"{at}.{letter}" for letter in "qkv")
    nodes = [helper.make_node("Split", [node.input[0], "sizes"], [q, k, v], axis=-1)]
    for name, heads in ((q, model.num_attention_heads), (k, model.num_key_value_heads)):
        rotate = ([name, "position_ids", "cosines", "sines"], [f"{name}.turned"])
        nodes.append(helper.make_node("RotaryEmbedding", *rotate, domain=MICROSOFT, num_heads=heads))
    for place, name in enumerate((f"{q}.turned", f"{k}.turned", v)):
        nodes.append(helper.make_node("Cast", [name], [f"{name}.half"], to=TensorProto.FLOAT16))
        node.input[place] = f"{name}.half"
    del node.input[7:]
    node.output[0] = f"{mixed}.half"
    for attribute in node.attribute:
        if attribute.name == "do_rotary":
            attribute.i = 0
    return [*nodes, node, helper.make_node("Cast", [f"{mixed}.half"], [mixed], to=TensorProto.FLOAT)]
