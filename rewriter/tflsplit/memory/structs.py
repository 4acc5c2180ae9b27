# SPDX-License-Identifier: Apache-2.0
"""The structs that TFLM keeps in the arena, as fields in order (``abi.struct_layout``).

Read from TFLM's sources at commit 90b983c, built with TF_LITE_STATIC_MEMORY as every target is.
``OPTIONS`` are the structs of ``tensorflow/compiler/mlir/lite/core/c/builtin_op_data.h`` that an
operator's parser in ``core/api/flatbuffer_conversions.cc`` allocates; ``OP_DATA`` is what ``init``
allocates in ``micro/kernels/<operator>.cc``; what Prepare allocates is in ``kernels.py``.
"""

from __future__ import annotations

# The runtime's own, core/c/common.h and micro/*.h.
EVAL_TENSOR = "PPe"  # TfLiteEvalTensor, one per tensor of the graph
NODE_AND_REGISTRATION = "{PPPPPPi}P"  # one per node
TENSOR = "{iP}{fi}PPPee?"  # TfLiteTensor, one per input and output of the graph
AFFINE_QUANTIZATION = "PPi"  # TfLiteAffineQuantization of those that are quantized
SCRATCH_HANDLE = "P"  # ScratchBufferHandle, one per scratch buffer
SUBGRAPH_ALLOCATIONS = "PPC"
BUILTIN_DATA_ALLOCATOR = "PP"  # MicroBuiltinDataAllocator: vtable and one pointer
GREEDY_PLANNER = "P ii PPPP ii P ?"  # GreedyMemoryPlanner
_SINGLE_ARENA = "PP PPPPP P i"  # SingleArenaBufferAllocator: it has two bases
_MICRO_ALLOCATOR = "P PPPP ? P P P"
# The allocators, in the order in which they enter the tail.
ALLOCATORS = (_SINGLE_ARENA, GREEDY_PLANNER, _MICRO_ALLOCATOR)
_RECORDED = "{PPP}"  # RecordedAllocation
RECORDING_ALLOCATORS = (
    f"{_SINGLE_ARENA} PPPP",  # RecordingSingleArenaBufferAllocator
    GREEDY_PLANNER,
    f"{_MICRO_ALLOCATOR} P" + _RECORDED * 7 + "{CCC}",  # RecordingMicroAllocator
)

# What the planner needs while it plans, in place of the activations.
ALLOCATION_INFO = "PP iii ?"  # AllocationInfo, one per tensor and scratch buffer
SCRATCH_REQUEST = "Pii"  # internal::ScratchBufferRequest
PLANNED_BUFFER = "iiii i i iii i"  # GreedyMemoryPlanner::per_buffer_size, one per planned buffer
SCRATCH_REQUESTS_PER_NODE = 12  # kMaxScratchBuffersPerOp

# Nested structs.
_PADDING = "{iiii}"  # TfLitePaddingValues
CONV_PARAMS = "{b{hhhh}hhhh iiiii ii ff}"  # ConvParams
_PAD_PARAMS = "{b iiiii b iiiii b}"  # PadParams
_ARITHMETIC = "{b iii ii i iiii ii ff qq hh iiiii}"  # ArithmeticParams
CONV_DATA = f"{_PADDING} iii ii PP ii i cc"  # OpDataConv
FULLY_CONNECTED_DATA = "ii ii i iii i PP ? cc"  # OpDataFullyConnected
POOL_DATA = f"{_PADDING} ii ff"  # OpDataPooling
SOFTMAX_DATA = "d iiiii i f PPPPP"  # SoftmaxParams
BATCH_MATMUL_DATA = "PPP ???"  # OpDataBatchMatmul
BATCH_MATMUL_QUANTIZATION = "iiiiiii"  # QuantizationOpDataBatchMatmul
_REDUCE_DATA = "iiiii i f i f ii"  # OpDataReduce
_COMPARISON_DATA = "iiiiiii?"  # ComparisonParams
_ABS_DATA = "iiii ? ie"  # OpDataAbsRsqrt (TfLiteQuantizationType is declared as int)

_FULLY_CONNECTED_PARAMS = "{iiiii ii ff ???}"  # FullyConnectedParams
_GATE = f"{{{_FULLY_CONNECTED_PARAMS * 2}}}"  # GateParameters
# OpDataLSTM: sizes, cell state, activation, gates, the products between them, scratch buffers
LSTM_DATA = f"{{? iiii}} {{f h i}} e {_GATE * 4} {{{_ARITHMETIC * 3}}} iiii"

_POOL_OPTIONS = f"e iiii e {{{_PADDING}}}"

# Options that the parser puts into the arena.
OPTIONS: dict[str, str] = {
    "ADD": "e?",
    "ARG_MAX": "e",
    "ARG_MIN": "e",
    "AVERAGE_POOL_2D": _POOL_OPTIONS,
    "BATCH_MATMUL": "???",
    "CAST": "ee",
    "CONCATENATION": "ie",
    "CONV_2D": "e ii e ii e",
    "CUMSUM": "??",
    "DEPTHWISE_CONV_2D": "e iii e ii",
    "DEPTH_TO_SPACE": "i",
    "DIV": "e",
    "FULLY_CONNECTED": "ee??e",
    "GATHER": "ii",
    "L2_NORMALIZATION": "e",
    "L2_POOL_2D": _POOL_OPTIONS,
    "LEAKY_RELU": "f",
    "MAX_POOL_2D": _POOL_OPTIONS,
    "MEAN": "?",
    "MIRROR_PAD": "e",
    "MUL": "e",
    "PACK": "ii",
    "REDUCE_ALL": "?",
    "REDUCE_MAX": "?",
    "REDUCE_MIN": "?",
    "RESHAPE": "iiiiiiii i",
    "RESIZE_BILINEAR": "??",
    "RESIZE_NEAREST_NEIGHBOR": "??",
    "SHAPE": "e",
    "SOFTMAX": "f",
    "SPACE_TO_DEPTH": "i",
    "SPLIT": "i",
    "SPLIT_V": "i",
    "SQUEEZE": "iiiiiiii i",
    "STRIDED_SLICE": "iiiii?",
    "SUB": "e?",
    "SUM": "?",
    "SVDF": "ie?",
    "TRANSPOSE_CONV": "e ii e e",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "e ff ???",
    "UNPACK": "ii",
}

# Operator data that ``init`` puts into the arena.
OP_DATA: dict[str, str] = {
    "ABS": _ABS_DATA,
    "ADD": "? ii ii iii ii iii ff",
    "AVERAGE_POOL_2D": POOL_DATA,
    "BATCH_MATMUL": BATCH_MATMUL_DATA,
    "CONCATENATION": "{iPPiif}" + "c" * 10,
    "CONV_2D": CONV_DATA,
    "DEPTHWISE_CONV_2D": CONV_DATA,
    "DEQUANTIZE": "{di}iii",
    "DIV": "iiiiiii",
    "ELU": "b" * 256,
    "EQUAL": _COMPARISON_DATA,
    "FULLY_CONNECTED": FULLY_CONNECTED_DATA,
    "GREATER": _COMPARISON_DATA,
    "GREATER_EQUAL": _COMPARISON_DATA,
    "HARD_SWISH": "hhh i h i",
    "L2_NORMALIZATION": "i",
    "LEAKY_RELU": "iiiiii",
    "LESS": _COMPARISON_DATA,
    "LESS_EQUAL": _COMPARISON_DATA,
    "LOGISTIC": "iiii",
    "MAX_POOL_2D": POOL_DATA,
    "MEAN": _REDUCE_DATA,
    "MIRROR_PAD": "iiiii",
    "MUL": "iiiiiii ff",
    "NOT_EQUAL": _COMPARISON_DATA,
    "PAD": f"{_PAD_PARAMS} i",
    "PADV2": f"{_PAD_PARAMS} i",
    "PRELU": "iiiiiii",
    "QUANTIZE": "{id}iii",
    "REDUCE_ALL": _REDUCE_DATA,
    "REDUCE_MAX": _REDUCE_DATA,
    "REDUCE_MIN": _REDUCE_DATA,
    "RELU": "{b ii}iiii",
    "RELU6": "ii",
    "RSQRT": _ABS_DATA,
    "SELECT_V2": "?",
    "SOFTMAX": SOFTMAX_DATA,
    "SPACE_TO_BATCH_ND": "i",
    "SQUARED_DIFFERENCE": f"? {_ARITHMETIC}",
    "STRIDED_SLICE": "b iiiii b iiiii b iiiii hhhhh ?",
    "SUB": "? ii ii iii ii iii",
    "SUM": _REDUCE_DATA,
    "SVDF": "iiiiiiiii",
    "TANH": "iiii",
    "TRANSPOSE_CONV": f"{CONV_PARAMS} i cc i PP",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": LSTM_DATA,
}

# Kernels that keep nothing at all, or nothing but what PREPARE says.
_LEAN = (
    "ADD_N ARG_MAX ARG_MIN BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CAST CEIL COS "
    "CUMSUM DEPTH_TO_SPACE DYNAMIC_UPDATE_SLICE EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV "
    "FLOOR_MOD GATHER GATHER_ND L2_POOL_2D LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR "
    "LOG_SOFTMAX MAXIMUM MINIMUM NEG PACK RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR "
    "REVERSE_V2 ROUND SHAPE SIN SLICE SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUEEZE "
    "TRANSPOSE UNPACK ZEROS_LIKE"
)
UNMEASURED = frozenset({"UNIDIRECTIONAL_SEQUENCE_LSTM"})
"""Kernels whose sizes are read from the sources and were compared on x86-64 only."""
KNOWN = (frozenset(_LEAN.split()) | OP_DATA.keys()) - UNMEASURED
"""Kernels whose sizes were compared on a Cortex-M too, operator by operator."""
