"""The graph of an exported network, rewritten to give the same for words in less time.

A word's tag is read off its first sub-token alone, so behind the last attention, where no sub-token looks at another,
nothing has to be computed of the others: a third of what is left.

PyTorch's exporter writes attention as its own kernel takes it: every head apart, so that four matrices a layer are
turned over in memory, and under a mask that hides nothing where all windows of a batch are equally long. ONNX's own
operator takes words in rows as they come, and needs no mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from marsad.errors import MarsadError, first_line

if TYPE_CHECKING:
    import onnx_ir as ir

INPUT_IDS, FIRST_TOKENS = "input_ids", "first_tokens"
Ids = NDArray[np.int64]


def give_words_alone(path: Path, ids: Ids) -> bool:
    """Have an exported network give the logits of first sub-tokens alone; whether its last layer is cut short for it.

    ``path`` takes ``input_ids`` [batch, tokens] and gives logits [batch, tokens, tags]; it is replaced by a file that
    takes ``first_tokens`` [batch, words] too, places in each window, and gives [batch, words, tags]. ``ids`` are some
    to try it on. Where the last layer is not built as expected, all logits are computed, and the others' dropped.

    Raises MarsadError where the file can't be run at all, or gives other logits either way.
    """
    import onnx_ir

    places = np.tile(np.arange(0, ids.shape[1], 2), (len(ids), 1))
    given = _run(path, {INPUT_IDS: ids})[:, ::2]
    rewritten = path.with_suffix(".rewritten.onnx")
    for early in (True, False):
        model = onnx_ir.load(path)
        if not _pick_rows(model, early):
            continue
        onnx_ir.save(model, rewritten)
        try:
            close = np.allclose(given, _run(rewritten, {INPUT_IDS: ids, FIRST_TOKENS: places}), rtol=1e-3, atol=1e-3)
        except MarsadError:  # what follows needs the rows of all
            close = False
        if close:
            rewritten.replace(path)
            return early
    raise MarsadError("exported to ONNX, this network gives words other scores than in PyTorch; run it with PyTorch")


def _pick_rows(model: ir.Model, early: bool) -> bool:
    """Pick the rows of ``first_tokens`` from the logits, or ``early``: from what the last queries are made of.

    Early, whatever comes from before and is computed with picked rows has its own picked: the residual. False where
    queries are not made of one activation, or are looked at through a mask.
    """
    import onnx_ir

    graph = model.graph
    if early:
        attention = next((node for node in reversed(graph) if node.op_type == "Attention"), None)
        if attention is None or len(attention.inputs) != 3 or attention.inputs[0] is None:
            return False
        picked = _makers(attention.inputs[0])
        whole = set(attention.inputs[1:])
        for node in graph:  # in the order in which they are computed
            if node is attention or any(value and value.producer() in picked for value in node.inputs):
                picked.add(node)
        given = dict.fromkeys(value for node in graph if node in picked for value in node.inputs if value)
        sources = [
            value for value in given if _is_activation(value) and value.producer() not in picked and value not in whole
        ]
    else:
        picked, sources = set(), [graph.outputs[0]]
    if not all(value.shape is not None and len(value.shape) == 3 for value in sources):
        return False
    places = onnx_ir.Input(FIRST_TOKENS, onnx_ir.Shape(["batch", "words"]), onnx_ir.TensorType(onnx_ir.DataType.INT64))
    graph.inputs.append(places)
    last = onnx_ir.tensor(np.array([-1]), name="last_axis")
    axis = onnx_ir.Value(name=last.name, const_value=last)
    graph.register_initializer(axis)
    columns = onnx_ir.node("Unsqueeze", [places, axis])
    graph.insert_before(graph[0], columns)
    for number, value in enumerate(sources):
        pick = onnx_ir.node("GatherND", [value, columns.outputs[0]], {"batch_dims": 1})
        rows = pick.outputs[0]
        rows.name, rows.type = f"of_words_{number}", value.type
        for node, place in [use for use in value.uses() if use[0] in picked]:
            node.replace_input_with(place, rows)
        graph.insert_after(_producer(value), pick)
        if value is graph.outputs[0]:
            rows.name, value.name = value.name, "logits_of_all"
            graph.outputs[0] = rows
    for node in picked:
        for output in node.outputs:
            output.shape = None
    graph.outputs[0].shape = onnx_ir.Shape(["batch", "words", None])
    return True


def _makers(value: ir.Value) -> set[ir.Node]:
    """The nodes that make a value, and nothing else, out of one activation."""
    nodes: set[ir.Node] = set()
    while len(value.uses()) == 1:
        node = _producer(value)
        activations = [one for one in node.inputs if one and _is_activation(one)]
        if len(activations) != 1:
            break
        nodes.add(node)
        value = activations[0]
    return nodes


def _is_activation(value: ir.Value) -> bool:
    return not value.is_initializer() and not value.is_graph_input()


def _producer(value: ir.Value) -> ir.Node:
    node = value.producer()
    if node is None:
        raise ValueError(f"{value.name} is computed by no node")
    return node


def simplify_attention(path: Path, ids: Ids) -> bool:
    """Rewrite the attention of an exported network in place, if the file then gives what it gave; whether it does.

    ``path`` takes input ids [batch, tokens] and gives logits; ``ids`` are some to try it on, as long as windows may be:
    a mask that hides nothing there hides nothing of shorter ones, and is left out. Where the exporter laid heads out
    in another way than expected, the file stays as it is.

    Raises MarsadError where the file can't be run at all.
    """
    import onnx_ir

    given = _run(path, {INPUT_IDS: ids})
    for keep_mask in (False, True):
        model = _rewrite(onnx_ir.load(path), keep_mask)
        if model is None:
            return False
        rewritten = path.with_suffix(".rewritten.onnx")
        onnx_ir.save(model, rewritten)
        if np.allclose(given, _run(rewritten, {INPUT_IDS: ids}), rtol=1e-3, atol=1e-3):
            rewritten.replace(path)
            return True
        rewritten.unlink()
    return False


def _rewrite(model: ir.Model, keep_mask: bool) -> ir.Model | None:
    """The model with words in rows wherever the exporter put every head apart; None where it did nowhere."""
    from onnxscript.rewriter import pattern, rewrite

    def apart(op: Any, q: Any, k: Any, v: Any, mask: Any, q_shape: Any, k_shape: Any, v_shape: Any, shape: Any) -> Any:
        heads = [
            op.Transpose(op.Reshape(rows, to), perm=[0, 2, 1, 3])
            for rows, to in ((q, q_shape), (k, k_shape), (v, v_shape))
        ]
        read = op.Attention(*heads, mask, _allow_other_attributes=True, _outputs=["read"])
        return op.Reshape(op.Transpose(read, perm=[0, 2, 1, 3]), shape)

    def heads_known(_: Any, read: Any, **__: Any) -> bool:
        return all(isinstance(heads.shape[1], int) for heads in read.producer().inputs[:3])

    def in_rows(op: Any, q: Any, k: Any, v: Any, mask: Any, read: Any, **_: Any) -> Any:
        attention = read.producer()
        q_heads, kv_heads = (attention.inputs[place].shape[1] for place in (0, 1))
        given = [q, k, v, mask] if keep_mask else [q, k, v]
        return op.Attention(*given, q_num_heads=q_heads, kv_num_heads=kv_heads, **attention.attributes)

    before = sum(1 for node in model.graph if node.op_type == "Transpose")
    model = rewrite(model, pattern_rewrite_rules=[pattern.RewriteRule(apart, in_rows, heads_known)])
    return model if sum(1 for node in model.graph if node.op_type == "Transpose") < before else None


def _run(path: Path, given: dict[str, Ids]) -> NDArray[np.float32]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        logits: NDArray[np.float32] = session.run(None, given)[0]
    except Exception as error:  # onnxruntime's exceptions have no class of their own but Exception
        raise MarsadError(
            f"this network is exported to ONNX in a way that can't be run ({first_line(error)}); run it with PyTorch"
        ) from None
    return logits
