// SPDX-License-Identifier: Apache-2.0
// tflsplit's operators as TFLM registers them: resolver.AddCustom(kSendName, send_registration()).
//
// The interpreter's external context must be a split_device::Exchange* before AllocateTensors():
// it carries the links, and the words of what Prepare refuses.
#ifndef SPLIT_TFLM_REGISTRATIONS_H_
#define SPLIT_TFLM_REGISTRATIONS_H_

#include "split_tflm/tflm_compat.h"

namespace split_tflm {

inline constexpr char kSendName[] = "TFLSPLIT_SEND";
inline constexpr char kRecvName[] = "TFLSPLIT_RECV";
inline constexpr char kAskName[] = "TFLSPLIT_ASK";
inline constexpr char kConv2dName[] = "TFLSPLIT_CONV_2D";
inline constexpr char kDepthwiseConv2dName[] = "TFLSPLIT_DEPTHWISE_CONV_2D";
inline constexpr char kPartialConv2dName[] = "TFLSPLIT_PARTIAL_CONV_2D";
inline constexpr char kPartialFullyConnectedName[] = "TFLSPLIT_PARTIAL_FULLY_CONNECTED";
inline constexpr char kPartialSumName[] = "TFLSPLIT_PARTIAL_SUM";
inline constexpr char kRequantizeName[] = "TFLSPLIT_REQUANTIZE";
inline constexpr char kFusedBlockName[] = "TFLSPLIT_FUSED_BLOCK";
inline constexpr char kChainName[] = "TFLSPLIT_CHAIN";
inline constexpr char kAddName[] = "TFLSPLIT_ADD";
inline constexpr char kMeanName[] = "TFLSPLIT_MEAN";
inline constexpr char kPool2dName[] = "TFLSPLIT_POOL_2D";

// Each lives as long as the program, in flash where TFLM takes it so; its name is in it.
api::Registered* send_registration();
api::Registered* recv_registration();
api::Registered* ask_registration();
api::Registered* conv_2d_registration();
api::Registered* depthwise_conv_2d_registration();
api::Registered* partial_conv_2d_registration();
api::Registered* partial_fully_connected_registration();
api::Registered* partial_sum_registration();
api::Registered* requantize_registration();
api::Registered* fused_block_registration();
api::Registered* chain_registration();
api::Registered* add_registration();
api::Registered* mean_registration();
api::Registered* pool_2d_registration();

}  // namespace split_tflm

#endif  // SPLIT_TFLM_REGISTRATIONS_H_
