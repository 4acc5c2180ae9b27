// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_SEND, TFLSPLIT_ASK and TFLSPLIT_RECV: options and tensors in, transfers out. check_...() in Prepare,
// run_...() in Invoke, which trusts what was checked.
#ifndef SPLIT_DEVICE_TRANSFER_H_
#define SPLIT_DEVICE_TRANSFER_H_

#include "split_device/exchange.h"
#include "split_device/op_options.h"

namespace split_device {

// A dense tensor of any number of dimensions. `name` is any pointer that is the same in every
// operator which lists this tensor, and differs from those of all others.
struct TensorView {
  const void* name = nullptr;
  uint8_t* data = nullptr;  // may be null in Prepare
  const int32_t* dims = nullptr;
  uint32_t rank = 0;
  uint8_t item_bytes = 1;  // 1, 2, 4 or 8; 0: a dtype without a fixed size
};

// The part of `tensor` that the global box at boxes[first], boxes[first + 1], ... names; `origin`
// are the global coordinates of the tensor's element 0. False if it does not lie in the tensor, or
// if it takes more than four axes to say (neighbouring axes are one where the inner one is whole).
bool make_box(const TensorView& tensor, const IntVector& boxes, uint32_t first,
              const IntVector& origin, split_core::StridedBox* box);

// `copy`: the result, int8 and flat; null if there is none.
Problem check_send(const FlexMap& options, const TensorView& x, const TensorView* copy,
                   uint8_t node_count);
bool run_send(Exchange& exchange, const FlexMap& options, const TensorView& x,
              const TensorView* copy);

// `memory`: the result, int8 and flat.
Problem check_ask(const FlexMap& options, const TensorView& memory, uint8_t node_count);
bool run_ask(Exchange& exchange, const FlexMap& options, const TensorView& memory);

// `local` and `y`: null where the operator has none.
Problem check_recv(const FlexMap& options, const TensorView* local, const TensorView* y,
                   uint8_t node_count);
// `pending`: the names of the tensors whose SENDs to wait for.
bool run_recv(Exchange& exchange, const FlexMap& options, const TensorView* local,
              const TensorView* y, const void* const* pending, size_t pending_count);

// Piece number `piece` of the RECV before, which is early = 2, to `to`: `size` bytes, which the piece must
// have. False after an error, which is kept.
bool take_piece(Exchange& exchange, int32_t piece, void* to, size_t size);

}  // namespace split_device

#endif  // SPLIT_DEVICE_TRANSFER_H_
