// SPDX-License-Identifier: Apache-2.0
// Made by tflsplit.firmware.resolver.all_operators_header: what a device graph may use.
// A firmware with fewer names a header of its own in TFLSPLIT_OPERATORS (docs/firmware.md).
#ifndef SPLIT_TFLM_ALL_OPERATORS_H_
#define SPLIT_TFLM_ALL_OPERATORS_H_

#include "split_tflm/registrations.h"

namespace split_tflm {

inline constexpr int kOperators = 108;

inline api::Status add_operators(api::MicroMutableOpResolver<kOperators>& resolver) {
  if (resolver.AddAbs() != api::kOk) return api::kError;
  if (resolver.AddAdd() != api::kOk) return api::kError;
  if (resolver.AddAddN() != api::kOk) return api::kError;
  if (resolver.AddArgMax() != api::kOk) return api::kError;
  if (resolver.AddArgMin() != api::kOk) return api::kError;
  if (resolver.AddAveragePool2D() != api::kOk) return api::kError;
  if (resolver.AddBatchToSpaceNd() != api::kOk) return api::kError;
  if (resolver.AddBroadcastArgs() != api::kOk) return api::kError;
  if (resolver.AddBroadcastTo() != api::kOk) return api::kError;
  if (resolver.AddCast() != api::kOk) return api::kError;
  if (resolver.AddCeil() != api::kOk) return api::kError;
  if (resolver.AddConcatenation() != api::kOk) return api::kError;
  if (resolver.AddConv2D() != api::kOk) return api::kError;
  if (resolver.AddCos() != api::kOk) return api::kError;
  if (resolver.AddCumSum() != api::kOk) return api::kError;
  if (resolver.AddDepthwiseConv2D() != api::kOk) return api::kError;
  if (resolver.AddDepthToSpace() != api::kOk) return api::kError;
  if (resolver.AddDequantize() != api::kOk) return api::kError;
  if (resolver.AddDiv() != api::kOk) return api::kError;
  if (resolver.AddElu() != api::kOk) return api::kError;
  if (resolver.AddEqual() != api::kOk) return api::kError;
  if (resolver.AddExp() != api::kOk) return api::kError;
  if (resolver.AddExpandDims() != api::kOk) return api::kError;
  if (resolver.AddFill() != api::kOk) return api::kError;
  if (resolver.AddFloor() != api::kOk) return api::kError;
  if (resolver.AddFloorDiv() != api::kOk) return api::kError;
  if (resolver.AddFloorMod() != api::kOk) return api::kError;
  if (resolver.AddFullyConnected() != api::kOk) return api::kError;
  if (resolver.AddGather() != api::kOk) return api::kError;
  if (resolver.AddGatherNd() != api::kOk) return api::kError;
  if (resolver.AddGreater() != api::kOk) return api::kError;
  if (resolver.AddGreaterEqual() != api::kOk) return api::kError;
  if (resolver.AddHardSwish() != api::kOk) return api::kError;
  if (resolver.AddL2Normalization() != api::kOk) return api::kError;
  if (resolver.AddL2Pool2D() != api::kOk) return api::kError;
  if (resolver.AddLeakyRelu() != api::kOk) return api::kError;
  if (resolver.AddLess() != api::kOk) return api::kError;
  if (resolver.AddLessEqual() != api::kOk) return api::kError;
  if (resolver.AddLog() != api::kOk) return api::kError;
  if (resolver.AddLogicalAnd() != api::kOk) return api::kError;
  if (resolver.AddLogicalNot() != api::kOk) return api::kError;
  if (resolver.AddLogicalOr() != api::kOk) return api::kError;
  if (resolver.AddLogistic() != api::kOk) return api::kError;
  if (resolver.AddLogSoftmax() != api::kOk) return api::kError;
  if (resolver.AddMaximum() != api::kOk) return api::kError;
  if (resolver.AddMaxPool2D() != api::kOk) return api::kError;
  if (resolver.AddMean() != api::kOk) return api::kError;
  if (resolver.AddMinimum() != api::kOk) return api::kError;
  if (resolver.AddMirrorPad() != api::kOk) return api::kError;
  if (resolver.AddMul() != api::kOk) return api::kError;
  if (resolver.AddNeg() != api::kOk) return api::kError;
  if (resolver.AddNotEqual() != api::kOk) return api::kError;
  if (resolver.AddPack() != api::kOk) return api::kError;
  if (resolver.AddPad() != api::kOk) return api::kError;
  if (resolver.AddPadV2() != api::kOk) return api::kError;
  if (resolver.AddPrelu() != api::kOk) return api::kError;
  if (resolver.AddQuantize() != api::kOk) return api::kError;
  if (resolver.AddReduceMax() != api::kOk) return api::kError;
  if (resolver.AddRelu() != api::kOk) return api::kError;
  if (resolver.AddRelu6() != api::kOk) return api::kError;
  if (resolver.AddReshape() != api::kOk) return api::kError;
  if (resolver.AddResizeBilinear() != api::kOk) return api::kError;
  if (resolver.AddResizeNearestNeighbor() != api::kOk) return api::kError;
  if (resolver.AddRound() != api::kOk) return api::kError;
  if (resolver.AddRsqrt() != api::kOk) return api::kError;
  if (resolver.AddSelectV2() != api::kOk) return api::kError;
  if (resolver.AddShape() != api::kOk) return api::kError;
  if (resolver.AddSin() != api::kOk) return api::kError;
  if (resolver.AddSlice() != api::kOk) return api::kError;
  if (resolver.AddSoftmax() != api::kOk) return api::kError;
  if (resolver.AddSpaceToBatchNd() != api::kOk) return api::kError;
  if (resolver.AddSpaceToDepth() != api::kOk) return api::kError;
  if (resolver.AddSplit() != api::kOk) return api::kError;
  if (resolver.AddSplitV() != api::kOk) return api::kError;
  if (resolver.AddSqrt() != api::kOk) return api::kError;
  if (resolver.AddSquare() != api::kOk) return api::kError;
  if (resolver.AddSquaredDifference() != api::kOk) return api::kError;
  if (resolver.AddSqueeze() != api::kOk) return api::kError;
  if (resolver.AddStridedSlice() != api::kOk) return api::kError;
  if (resolver.AddSub() != api::kOk) return api::kError;
  if (resolver.AddSum() != api::kOk) return api::kError;
  if (resolver.AddSvdf() != api::kOk) return api::kError;
  if (resolver.AddTanh() != api::kOk) return api::kError;
  if (resolver.AddTranspose() != api::kOk) return api::kError;
  if (resolver.AddTransposeConv() != api::kOk) return api::kError;
  if (resolver.AddUnidirectionalSequenceLSTM() != api::kOk) return api::kError;
  if (resolver.AddUnpack() != api::kOk) return api::kError;
  if (resolver.AddZerosLike() != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kAddName, split_tflm::add_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kAskName, split_tflm::ask_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kChainName, split_tflm::chain_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kConv2dName, split_tflm::conv_2d_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kDepthwiseConv2dName, split_tflm::depthwise_conv_2d_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kFusedBlockName, split_tflm::fused_block_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kMeanName, split_tflm::mean_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kPartialConv2dName, split_tflm::partial_conv_2d_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kPartialFullyConnectedName, split_tflm::partial_fully_connected_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kPartialSumName, split_tflm::partial_sum_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kPool2dName, split_tflm::pool_2d_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kRecvName, split_tflm::recv_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kRequantizeName, split_tflm::requantize_registration()) != api::kOk) return api::kError;
  if (resolver.AddCustom(split_tflm::kSendName, split_tflm::send_registration()) != api::kOk) return api::kError;
#if !defined(TFLSPLIT_REGISTRY_TFLM)  // whose TFLM for Arduino cores is older
  if (resolver.AddBatchMatMul() != api::kOk) return api::kError;
  if (resolver.AddDynamicUpdateSlice() != api::kOk) return api::kError;
  if (resolver.AddEmbeddingLookup() != api::kOk) return api::kError;
  if (resolver.AddReduceAll() != api::kOk) return api::kError;
  if (resolver.AddReduceMin() != api::kOk) return api::kError;
  if (resolver.AddReverseV2() != api::kOk) return api::kError;
#endif
  return api::kOk;
}

}  // namespace split_tflm

#endif  // SPLIT_TFLM_ALL_OPERATORS_H_
