# SPDX-License-Identifier: Apache-2.0
"""Which of the models that can be read can also be split.

The reader takes whatever it can represent, so that ``inspect`` can say what a float model is.
Splitting needs more: every layer with weights computes in integers, and TFLM has every operator.
"""

from __future__ import annotations

from tflsplit.errors import ModelError, UnsupportedOpError
from tflsplit.ir import DType, Graph, Node, Value
from tflsplit.tflite.extras import SUBGRAPHS
from tflsplit.tflite.operators import OWN_PREFIX

# Where a layer's activations and weights stand among its inputs.
_LAYERS = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
}

# TFLM: tensorflow/lite/micro/micro_mutable_op_resolver.h, as far as its Python wheel registers
# them (python/tflite_micro/python_ops_resolver.cc).
_BUILTINS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL
    EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX
    REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT
    SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
_CUSTOM = """
    CIRCULAR_BUFFER TFLite_Detection_PostProcess SignalDelay SignalEnergy SignalFftAutoScale
    SignalFilterBank SignalFilterBankLog SignalFilterBankSpectralSubtraction
    SignalFilterBankSquareRoot SignalFramer SignalIrfft SignalOverlapAdd SignalPCAN SignalRfft
    SignalStacker SignalWindow
"""
TFLM_BUILTINS = frozenset(_BUILTINS.split())
TFLM_CUSTOM = frozenset(_CUSTOM.split())

_FLOATS = (DType.FLOAT32, DType.FLOAT16, DType.FLOAT64, DType.BFLOAT16)
_CONVERT = (
    "convert the model with full-integer quantization: optimizations=[tf.lite.Optimize.DEFAULT], "
    "a representative_dataset, and "
    "target_spec.supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)
_TENSORFLOW_1 = f"is quantized to uint8, the scheme of TensorFlow 1; {_CONVERT} (TensorFlow 2)"
# Layers without weights by which a model of that scheme is known: TFLM's kernels are for int8.
_ARITHMETIC = """
    ADD AVERAGE_POOL_2D CONCATENATION HARD_SWISH LEAKY_RELU LOGISTIC MAX_POOL_2D MEAN MUL PRELU
    RELU RELU6 RESIZE_BILINEAR SOFTMAX SUB TANH
"""
_NOT_OF_UINT8 = frozenset(_ARITHMETIC.split())
# TFLM has them, for applications that give its interpreter a MicroResourceVariables.
_OF_RESOURCES = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
# What operators that TFLM lacks can be made of.
_MADE_OF = {
    "GELU": "x * sigmoid(1.702 * x), or the form with tanh written out",
    "SIGN": "x / |x|, or a comparison and SELECT_V2",
    "SELECT": "tf.maximum, tf.minimum, or the product with a mask",
    "ONE_HOT": "leave it out and let the host do it",
    "POW": "MUL for whole exponents, SQRT for a half",
    "TOPK_V2": "leave it out and choose the best on the host",
    "TILE": "tf.image.resize(x, size, 'nearest') for an UpSampling2D, CONCATENATION elsewhere",
    "NON_MAX_SUPPRESSION_V5": "leave it out and choose the boxes on the host",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "two UNIDIRECTIONAL_SEQUENCE_LSTM, one of the reversed sequence",
}


def check_quantized(graph: Graph) -> None:
    """Passes a model that can be split; the others raise ModelError with the way out.

    A model passes if it is one graph of operators that TFLM has, and every CONV_2D,
    DEPTHWISE_CONV_2D, FULLY_CONNECTED and TRANSPOSE_CONV has int8 weights and int8 or int16
    activations with a scale each.  Floats or uint8 at its borders, behind QUANTIZE and DEQUANTIZE,
    are fine.  UnsupportedOpError (a ModelError) names an operator that TFLM does not have, or only
    with what our firmware does not give it.
    """
    for node in graph.nodes:
        _check_stateless(node)
    if graph.file_extra.get(SUBGRAPHS):
        raise ModelError(
            "the model holds several graphs (control flow, or several signatures), and only one "
            "can be split; convert a single function without loops and conditions"
        )
    made = {value for node in graph.nodes for value in node.outputs}
    if not made.intersection(graph.outputs):
        raise ModelError(
            "no operator makes any output of the model, so there is nothing to split; convert it "
            "again, with its outputs"
        )
    for node in graph.nodes:
        _check_known(node)
    layers = [node for node in graph.nodes if node.op in _LAYERS and not node.is_custom]
    for node in layers:
        _check_layer(node, *_LAYERS[node.op])
    outputs = [value for node in graph.nodes for value in node.outputs]
    if not layers and outputs and all(value.dtype in _FLOATS for value in outputs):
        integers = [v for v in graph.inputs if v.dtype not in _FLOATS]
        behind = f", behind its {integers[0].dtype.value.lower()} input" if integers else ""
        raise ModelError(f"the model computes in floats only{behind}; {_CONVERT}")
    for node in graph.nodes:
        if node.op in _NOT_OF_UINT8 and any(v.dtype is DType.UINT8 for v in node.operands):
            raise ModelError(f"{node.op} {node.name} {_TENSORFLOW_1}")


def _check_known(node: Node) -> None:
    if node.op.startswith(OWN_PREFIX) and node.is_custom:
        raise UnsupportedOpError(
            f"operator {node.name} is {node.op}: this is a device graph that tflsplit wrote; "
            "split the model that it came from"
        )
    if node.op not in (TFLM_CUSTOM if node.is_custom else TFLM_BUILTINS):
        raise UnsupportedOpError(_unknown(node))


def _check_stateless(node: Node) -> None:
    if node.op in _OF_RESOURCES and not node.is_custom:
        raise UnsupportedOpError(
            f"{node.op} {node.name} keeps state in a resource variable otherwise than a streaming "
            "layer does (int8, zero at first, joined in front of what is new, whose last part it "
            "then becomes), which the firmware's interpreter does not have; hand the state in and "
            "out as an input and an output of the model, or convert to layers that keep it "
            "themselves (SVDF, LSTM)"
        )


def _unknown(node: Node) -> str:
    """What is said of an operator that TFLM does not have."""
    kind = "custom operator" if node.is_custom else "operator"
    start = f"TFLM has no kernel for the {kind} {node.op} (node {_first_name(node)})"
    if not node.is_custom:
        hint = _MADE_OF.get(node.op)
        return (
            f"{start}; before you convert the model, make that layer of operators that TFLM has"
            + (f": {hint}" if hint else "")
        )
    if node.op.startswith("Flex"):
        return (
            f"{start}, which is TensorFlow's own; replace that layer, and convert without "
            "tf.lite.OpsSet.SELECT_TF_OPS"
        )
    if node.op == "ethos-u":
        return f"{start}: Vela compiled the model for an Ethos-U; split the one that it compiled"
    return f"{start}; replace that layer, or split the model from before another tool put it in"


def _first_name(node: Node) -> str:
    """A node's name for a message: converters name what they fused by all its parts."""
    return node.name.split(";", 1)[0]


def is_foreign(node: Node) -> bool:
    """Whether a node is a custom operator of others: not TFLM's, not ours."""
    return node.is_custom and node.op not in TFLM_CUSTOM and not node.op.startswith(OWN_PREFIX)


def _check_layer(node: Node, activations: int, weights: int) -> None:
    what = f"{node.op} {_first_name(node)}"
    operands = [
        node.inputs[index] if index < len(node.inputs) else None for index in (activations, weights)
    ]
    if None in operands or len(node.outputs) != 1:
        raise ModelError(
            f"{what} has {len(node.operands)} inputs and {len(node.outputs)} outputs; "
            "the file is damaged: download or convert it again"
        )
    x, w = node.input(activations), node.input(weights)
    for value in (x, w, node.output):
        _check_type(what, value, w, x)
    for value in (x, node.output):
        _check_scale(what, value, per_tensor=True)
    _check_scale(what, w, per_tensor=False)


def _check_type(what: str, value: Value, weights: Value, activations: Value) -> None:
    if DType.UINT8 in (value.dtype, weights.dtype):
        raise ModelError(f"{what} {_TENSORFLOW_1}")
    if value.dtype in _FLOATS:
        hybrid = weights.dtype is DType.INT8 and activations.dtype in _FLOATS
        kind = "computes in floats from int8 weights (dynamic range)" if hybrid else "is float"
        raise ModelError(f"{what} {kind}; {_CONVERT}")
    allowed = (DType.INT8,) if value is weights else (DType.INT8, DType.INT16)
    if value.dtype not in allowed:
        raise ModelError(f"{what} has {value!r}, which is neither int8 nor int16x8; {_CONVERT}")


def _check_scale(what: str, value: Value, per_tensor: bool) -> None:
    scales = value.quantization.scales if value.quantization else ()
    if not scales:
        raise ModelError(f"{what}: {value!r} has no quantization scale; {_CONVERT}")
    if per_tensor and len(scales) > 1:
        raise ModelError(f"{what}: {value!r} has a scale per channel, which only weights may have")
