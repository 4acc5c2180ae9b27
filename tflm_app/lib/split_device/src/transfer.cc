// SPDX-License-Identifier: Apache-2.0
#include "split_device/transfer.h"

#include <cstring>

#include "boxes.h"

namespace split_device {

using split_core::StridedBox;

namespace {

constexpr int32_t kRolling = 2;  // of the option `early`: pieces come one by one (take_piece)

}  // namespace

// ---- SEND ----

Problem check_send(const FlexMap& options, const TensorView& x, const TensorView* copy,
                   uint8_t node_count) {
  const IntVector to = integers_option(options, "to");
  const IntVector boxes = integers_option(options, "boxes");
  const IntVector origin = integers_option(options, "origin");
  if (x.item_bytes == 0) return {nullptr, "x has a dtype that cannot be sent"};
  if (origin.size() != x.rank) return {"origin", "has not as many elements as x has dimensions"};
  if (to.size() == 0) return {"to", "is empty"};
  if (!lists_ranks(to, node_count)) return {"to", "names a rank that the cluster does not have"};
  uint64_t seen = 0;
  for (uint32_t i = 0; i < to.size(); ++i) {
    if ((seen >> to.at(i) & 1) != 0) return {"to", "names a rank twice"};
    seen |= uint64_t{1} << to.at(i);
  }
  const bool one = holds_boxes(boxes, 1, x.rank);
  if (!one && !holds_boxes(boxes, to.size(), x.rank)) {
    return {"boxes", "is neither one box nor one for each rank"};
  }
  const uint32_t count = one ? 1 : to.size();
  uint64_t total_bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    StridedBox box;
    if (!make_box(somewhere(x), boxes, 2 * x.rank * i, origin, &box)) {
      return {"boxes", "has a box that does not lie in x, or takes more than four axes"};
    }
    total_bytes += box.size_bytes();
  }
  if (copy == nullptr) return {};
  const bool fits = copy->rank == 1 && copy->item_bytes == 1 &&
                    total_bytes == static_cast<uint64_t>(copy->dims[0]);
  return {"boxes", fits ? nullptr : "have not the bytes of the result"};
}

namespace {

// Posts box number `i`, or a copy of it at `room`, which then is behind it.
bool post_box(Exchange& exchange, const FlexMap& options, const TensorView& x, uint32_t i,
              uint64_t ranks, const TensorView* copy, uint8_t** room) {
  StridedBox box;
  if (!make_box(x, integers_option(options, "boxes"), 2 * x.rank * i,
                integers_option(options, "origin"), &box)) {
    return false;
  }
  const auto channel = static_cast<uint16_t>(integer_option(options, "channel"));
  if (copy == nullptr) return exchange.post(x.name, channel, ranks, box);
  const StridedBox copied = StridedBox::flat(*room, box.size_bytes());
  split_core::read_box(box, 0, *room, box.size_bytes());
  *room += box.size_bytes();
  return exchange.post(copy->name, channel, ranks, copied);
}

}  // namespace

bool run_send(Exchange& exchange, const FlexMap& options, const TensorView& x,
              const TensorView* copy) {
  const IntVector to = integers_option(options, "to");
  const Exchange::Transfer transfer(exchange, "TFLSPLIT_SEND", text_option(options, "tensor"));
  uint8_t* room = copy != nullptr ? copy->data : nullptr;
  if (holds_boxes(integers_option(options, "boxes"), 1, x.rank)) {
    uint64_t ranks = 0;
    for (uint32_t i = 0; i < to.size(); ++i) ranks |= uint64_t{1} << to.at(i);
    return post_box(exchange, options, x, 0, ranks, copy, &room);
  }
  for (uint32_t i = 0; i < to.size(); ++i) {
    if (!post_box(exchange, options, x, i, uint64_t{1} << to.at(i), copy, &room)) return false;
  }
  return true;
}

// ---- ASK ----

Problem check_ask(const FlexMap& options, const TensorView& memory, uint8_t node_count) {
  const IntVector channels = integers_option(options, "channels");
  const IntVector from = integers_option(options, "from");
  const IntVector bytes = integers_option(options, "bytes");
  if (channels.size() == 0) return {"channels", "is empty"};
  if (from.size() != channels.size()) return {"from", "has not as many elements as 'channels'"};
  if (bytes.size() != channels.size()) return {"bytes", "has not as many elements as 'channels'"};
  if (!lists_ranks(from, node_count)) {
    return {"from", "names a rank that the cluster does not have"};
  }
  uint64_t total_bytes = 0;
  for (uint32_t i = 0; i < bytes.size(); ++i) total_bytes += static_cast<uint64_t>(bytes[i]);
  const bool fits = memory.rank == 1 && memory.item_bytes == 1 &&
                    total_bytes == static_cast<uint64_t>(memory.dims[0]);
  return {"bytes", fits ? nullptr : "are not those of the result"};
}

bool run_ask(Exchange& exchange, const FlexMap& options, const TensorView& memory) {
  const Exchange::Transfer transfer(exchange, "TFLSPLIT_ASK", text_option(options, "tensor"));
  const IntVector channels = integers_option(options, "channels");
  const IntVector from = integers_option(options, "from");
  const IntVector bytes = integers_option(options, "bytes");
  uint8_t* at = memory.data;
  for (uint32_t i = 0; i < channels.size(); ++i) {
    const auto size_bytes = static_cast<uint32_t>(bytes.at(i));
    if (!exchange.ask_ahead(static_cast<uint16_t>(channels.at(i)),
                            static_cast<uint8_t>(from.at(i)),
                            StridedBox::flat(at, size_bytes))) {
      return false;
    }
    at += size_bytes;
  }
  return true;
}

// ---- RECV ----

namespace {

Problem check_local(const FlexMap& options, const TensorView* local, const TensorView& y) {
  const IntVector box = integers_option(options, "local");
  const IntVector origin = integers_option(options, "local_origin");
  if (local == nullptr) return {};
  if (local->rank != y.rank || local->item_bytes != y.item_bytes) {
    return {nullptr, "the local shard and the result differ in dtype or number of dimensions"};
  }
  if (!holds_boxes(box, 1, y.rank)) return {"local", "is not one box"};
  if (origin.size() != y.rank) return {"local_origin", "has another number of elements"};
  StridedBox from, to;
  if (!make_box(somewhere(*local), box, 0, origin, &from)) {
    return {"local", "does not lie in the local shard"};
  }
  if (!make_box(somewhere(y), box, 0, integers_option(options, "origin"), &to)) {
    return {"local", "does not lie in the result"};
  }
  return {};
}

// Whether two boxes have an element in common; neither is empty.
bool overlap(const IntVector& a, uint32_t a_first, const IntVector& b, uint32_t b_first,
             uint32_t rank) {
  for (uint32_t bound = 0; bound < 2 * rank; bound += 2) {
    if (a[a_first + bound] >= b[b_first + bound + 1]) return false;
    if (b[b_first + bound] >= a[a_first + bound + 1]) return false;
  }
  return true;
}

// Whether the pieces, and the local shard if there is one, leave each other alone.
bool are_disjoint(const FlexMap& options, bool has_local, uint32_t pieces, uint32_t rank) {
  const IntVector boxes = integers_option(options, "boxes");
  const IntVector local = integers_option(options, "local");
  for (uint32_t i = 0; i < pieces; ++i) {
    if (has_local && overlap(local, 0, boxes, 2 * rank * i, rank)) return false;
    for (uint32_t k = 0; k < i; ++k) {
      if (overlap(boxes, 2 * rank * k, boxes, 2 * rank * i, rank)) return false;
    }
  }
  return true;
}

// Boxes that lie in y, are disjoint and have together as many elements as y fill it.
Problem check_pieces(const FlexMap& options, const TensorView* local, const TensorView& y) {
  const IntVector boxes = integers_option(options, "boxes");
  const IntVector origin = integers_option(options, "origin");
  const uint32_t pieces = integers_option(options, "channels").size();
  uint64_t filled_bytes = 0;
  StridedBox box;
  if (local != nullptr) {
    make_box(somewhere(y), integers_option(options, "local"), 0, origin, &box);
    filled_bytes = box.size_bytes();
  }
  for (uint32_t i = 0; i < pieces; ++i) {
    if (!make_box(somewhere(y), boxes, 2 * y.rank * i, origin, &box)) {
      return {"boxes", "has a box that does not lie in the result, or takes more than four axes"};
    }
    filled_bytes += box.size_bytes();
  }
  const bool sums = integer_option(options, "sum") != 0;
  if (sums && y.item_bytes != 4 && y.item_bytes != 2) return {"sum", "needs an int32 or int16 result"};
  if (sums) return {};
  const bool tile = filled_bytes == size_bytes(y) &&
                    are_disjoint(options, local != nullptr, pieces, y.rank);
  return {"boxes", tile ? nullptr : "do not tile the result"};
}

}  // namespace

Problem check_recv(const FlexMap& options, const TensorView* local, const TensorView* y,
                   uint8_t node_count) {
  const IntVector from = integers_option(options, "from");
  const IntVector origin = integers_option(options, "origin");
  const uint32_t pieces = integers_option(options, "channels").size();
  if (from.size() != pieces) return {"from", "has not as many elements as 'channels'"};
  if (!lists_ranks(from, node_count)) {
    return {"from", "names a rank that the cluster does not have"};
  }
  const bool early = integer_option(options, "early") != 0;
  if (early && (y == nullptr || integer_option(options, "sum") != 0)) {
    return {"early", "needs a result whose pieces are placed"};
  }
  if (y == nullptr) {
    const bool empty = pieces == 0 && local == nullptr;
    return {"channels", empty ? nullptr : "is not empty, but the operator has no result"};
  }
  if (y->item_bytes == 0) return {nullptr, "the result has a dtype that cannot be received"};
  if (origin.size() != y->rank) return {"origin", "has not as many elements as the result"};
  if (!holds_boxes(integers_option(options, "boxes"), pieces, y->rank)) {
    return {"boxes", "has not one box for each channel"};
  }
  const Problem problem = check_local(options, local, *y);
  if (problem.found()) return problem;
  if (integer_option(options, "early") != kRolling) return check_pieces(options, local, *y);
  const bool plain = local == nullptr && y->item_bytes == 1;  // its reader checks the sizes of pieces
  return {"early", plain ? nullptr : "2 needs pieces alone, of one byte an element"};
}

namespace {

// The local shard goes first, so that what arrives finds its memory ready.
bool begin_result(const FlexMap& options, const TensorView* local, const TensorView& y) {
  const bool sums = integer_option(options, "sum") != 0;
  if (sums) std::memset(y.data, 0, size_bytes(y));
  if (local == nullptr) return true;
  const IntVector box = integers_option(options, "local");
  StridedBox from, to;
  if (!make_box(*local, box, 0, integers_option(options, "local_origin"), &from)) return false;
  if (!make_box(y, box, 0, integers_option(options, "origin"), &to)) return false;
  if (is_same_memory(from, to)) return true;
  if (share_memory(from, to)) {
    move_box(from, to);
  } else {
    copy_box(from, to);
  }
  return true;
}

bool begin_pieces(Exchange& exchange, const FlexMap& options, const TensorView& y) {
  const IntVector channels = integers_option(options, "channels");
  const IntVector from = integers_option(options, "from");
  const IntVector boxes = integers_option(options, "boxes");
  const IntVector origin = integers_option(options, "origin");
  for (uint32_t i = 0; i < channels.size(); ++i) {
    StridedBox box;
    if (!make_box(y, boxes, 2 * y.rank * i, origin, &box)) return false;
    box.adds = integer_option(options, "sum") != 0;
    if (!exchange.receive(static_cast<uint16_t>(channels.at(i)), static_cast<uint8_t>(from.at(i)),
                          box)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool run_recv(Exchange& exchange, const FlexMap& options, const TensorView* local,
              const TensorView* y, const void* const* pending, size_t pending_count) {
  const Exchange::Transfer transfer(exchange, "TFLSPLIT_RECV", text_option(options, "tensor"));
  const int32_t early_option = integer_option(options, "early");
  if (early_option == kRolling) {
    exchange.set_rolling(options);
  } else if (y != nullptr) {
    if (!begin_result(options, local, *y)) return false;
    if (!begin_pieces(exchange, options, *y)) return false;
  }
  // Its reader waits for the pieces (Exchange::await), and computes meanwhile.
  const bool early = early_option == 1 && exchange.has_ticker();
  return early ? exchange.wait_released(pending, pending_count)
               : exchange.wait(pending, pending_count);
}

bool take_piece(Exchange& exchange, int32_t piece, void* to, size_t size) {
  const FlexMap& options = exchange.rolling();
  const IntVector channels = integers_option(options, "channels");
  const IntVector boxes = integers_option(options, "boxes");
  const Exchange::Transfer transfer(exchange, "TFLSPLIT_RECV", text_option(options, "tensor"));
  const auto number = static_cast<uint32_t>(piece);
  const uint32_t bounds = 2 * integers_option(options, "origin").size();
  uint64_t elements = number < channels.size() ? 1 : 0;
  for (uint32_t i = 0; elements != 0 && i < bounds; i += 2) {
    const int64_t extent = boxes[number * bounds + i + 1] - boxes[number * bounds + i];
    elements = extent > 0 && elements <= size ? elements * static_cast<uint64_t>(extent) : 0;
  }
  if (elements == 0 || elements != size) {
    exchange.refuse("TFLSPLIT_RECV", "boxes", "has other pieces than its reader takes");
    return false;
  }
  const auto channel = static_cast<uint16_t>(channels.at(number));
  const auto source = static_cast<uint8_t>(integers_option(options, "from").at(number));
  return exchange.receive(channel, source, StridedBox::flat(to, static_cast<uint32_t>(size))) &&
         exchange.wait(nullptr, 0);
}

}  // namespace split_device
