"""The graph of an exported network, rewritten to compute the same in less time.

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


def simplify_attention(path: Path, ids: NDArray[np.int64]) -> bool:
    """Rewrite the attention of an exported network in place, if the file then gives what it gave; whether it does.

    ``path`` takes input ids [batch, tokens] and gives logits; ``ids`` are some to try it on, as long as windows may be:
    a mask that hides nothing there hides nothing of shorter ones, and is left out. Where the exporter laid heads out
    in another way than expected, the file stays as it is.

    Raises MarsadError where the file can't be run at all.
    """
    import onnx_ir

    given = _run(path, ids)
    for keep_mask in (False, True):
        model = _rewrite(onnx_ir.load(path), keep_mask)
        if model is None:
            return False
        rewritten = path.with_suffix(".rewritten.onnx")
        onnx_ir.save(model, rewritten)
        if np.allclose(given, _run(rewritten, ids), rtol=1e-3, atol=1e-3):
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


def _run(path: Path, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        logits: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: ids})[0]
    except Exception as error:  # onnxruntime's exceptions have no class of their own but Exception
        raise MarsadError(
            f"this network is exported to ONNX in a way that can't be run ({first_line(error)}); run it with PyTorch"
        ) from None
    return logits
