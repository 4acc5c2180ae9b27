// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_SEND, TFLSPLIT_ASK and TFLSPLIT_RECV. None keeps anything in the arena.
#include "op_support.h"

namespace split_tflm {
namespace {

// More than any RECV lists; those of a plan have one pending tensor, rarely a few.
constexpr int kMaxPending = 64;

uint8_t node_count(Exchange* exchange) { return exchange->node().config().node_count; }

// ---- SEND ----

struct SendTensors {
  bool has_copy = false;
  TensorView x;
  TensorView copy;
  const TensorView* copy_or_null() const { return has_copy ? &copy : nullptr; }
};

SendTensors send_tensors(api::Context* context, const api::OpNode* node) {
  SendTensors tensors;
  tensors.x = view_of(input(context, node, 0));
  tensors.has_copy = node->outputs->size > 0;
  if (tensors.has_copy) tensors.copy = view_of(output(context, node, 0));
  return tensors;
}

api::Status prepare_send(api::Context* context, api::OpNode* node) {
  Exchange* const exchange = exchange_of(context);
  if (exchange == nullptr) return kTfLiteError;
  if (node->inputs->size != 1 || node->outputs->size > 1) {
    return refuse(context, kSendName, "must have one operand and at most one result");
  }
  FlexMap options;
  Problem problem = open_and_check(node, split_device::kSendOptions, &options);
  if (!problem.found()) {
    const SendTensors tensors = send_tensors(context, node);
    problem = split_device::check_send(options, tensors.x, tensors.copy_or_null(),
                                       node_count(exchange));
  }
  return problem.found() ? refuse(context, kSendName, problem) : kTfLiteOk;
}

api::Status invoke_send(api::Context* context, api::OpNode* node) {
  const SendTensors tensors = send_tensors(context, node);
  return split_device::run_send(*exchange_of(context), checked_options(node), tensors.x,
                                tensors.copy_or_null())
             ? kTfLiteOk
             : kTfLiteError;
}

// ---- ASK ----

api::Status prepare_ask(api::Context* context, api::OpNode* node) {
  Exchange* const exchange = exchange_of(context);
  if (exchange == nullptr) return kTfLiteError;
  if (node->inputs->size != 0 || node->outputs->size != 1) {
    return refuse(context, kAskName, "must have no operand and one result");
  }
  FlexMap options;
  Problem problem = open_and_check(node, split_device::kAskOptions, &options);
  if (!problem.found()) {
    problem = split_device::check_ask(options, view_of(output(context, node, 0)),
                                      node_count(exchange));
  }
  return problem.found() ? refuse(context, kAskName, problem) : kTfLiteOk;
}

api::Status invoke_ask(api::Context* context, api::OpNode* node) {
  const TensorView memory = view_of(output(context, node, 0));
  return split_device::run_ask(*exchange_of(context), checked_options(node), memory)
             ? kTfLiteOk
             : kTfLiteError;
}

// ---- RECV ----

// The operands of a RECV: the local shard first, if there is one, then what is pending.
struct RecvTensors {
  bool has_local = false;
  bool has_result = false;
  TensorView local;
  TensorView result;
  const TensorView* local_or_null() const { return has_local ? &local : nullptr; }
  const TensorView* result_or_null() const { return has_result ? &result : nullptr; }
};

RecvTensors recv_tensors(api::Context* context, const api::OpNode* node, const FlexMap& options) {
  RecvTensors tensors;
  tensors.has_local = split_device::integers_option(options, "local").size() > 0;
  tensors.has_result = node->outputs->size > 0;
  if (tensors.has_local) tensors.local = view_of(input(context, node, 0));
  if (tensors.has_result) tensors.result = view_of(output(context, node, 0));
  return tensors;
}

api::Status prepare_recv(api::Context* context, api::OpNode* node) {
  Exchange* const exchange = exchange_of(context);
  if (exchange == nullptr) return kTfLiteError;
  FlexMap options;
  Problem problem = open_and_check(node, split_device::kRecvOptions, &options);
  if (problem.found()) return refuse(context, kRecvName, problem);
  const bool wants_local = split_device::integers_option(options, "local").size() > 0;
  if (node->outputs->size > 1 || node->inputs->size > kMaxPending ||
      node->inputs->size < (wants_local ? 1 : 0)) {
    return refuse(context, kRecvName, "has a wrong number of operands or results");
  }
  const RecvTensors tensors = recv_tensors(context, node, options);
  problem = split_device::check_recv(options, tensors.local_or_null(), tensors.result_or_null(),
                                     node_count(exchange));
  return problem.found() ? refuse(context, kRecvName, problem) : kTfLiteOk;
}

api::Status invoke_recv(api::Context* context, api::OpNode* node) {
  const FlexMap options = checked_options(node);
  const RecvTensors tensors = recv_tensors(context, node, options);
  const void* pending[kMaxPending];
  const int first = tensors.has_local ? 1 : 0;
  size_t count = 0;
  for (int i = first; i < node->inputs->size; ++i) pending[count++] = input(context, node, i);
  return split_device::run_recv(*exchange_of(context), options, tensors.local_or_null(),
                                tensors.result_or_null(), pending, count)
             ? kTfLiteOk
             : kTfLiteError;
}

}  // namespace

api::Registered* send_registration() {
  static api::Registered registration =
      registration_of(kSendName, prepare_send, invoke_send);
  return &registration;
}

api::Registered* ask_registration() {
  static api::Registered registration =
      registration_of(kAskName, prepare_ask, invoke_ask);
  return &registration;
}

api::Registered* recv_registration() {
  static api::Registered registration =
      registration_of(kRecvName, prepare_recv, invoke_recv);
  return &registration;
}

}  // namespace split_tflm
