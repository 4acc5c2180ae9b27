// SPDX-License-Identifier: Apache-2.0
// Runs split_kernels on cases from stdin, answers on stdout. Integers are int32, little endian.
//
//   case:    op, number of integers, the integers, number of arrays (x, constants, of a block also
//            what is added), then each: its size in bytes and its bytes
//   answer:  size of the scratch memory asked for, instructions taken, size of y in bytes, y;
//            or -1, 0, size of a message, the message (the parameters were refused)
//
// Instructions are counted where SPLIT_KERNELS_TICK is defined: so many of them are a tick of SysTick
// on a board in QEMU with -icount shift=0, which makes an instruction a nanosecond. Else they are 0.
//
// Every array lives in memory of its own, of exactly its size, x and int8 y at an odd address: run
// under AddressSanitizer, nothing beside them can be touched unnoticed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "split_kernels/chain.h"
#include "split_kernels/kernels.h"

namespace {

using split_kernels::ChainParams;
using split_kernels::ChainUnit;
using split_kernels::FullyConnectedParams;
using split_kernels::FusedBlockParams;
using split_kernels::FusedStage;
using split_kernels::ResidualAdd;
using split_kernels::Constants;
using split_kernels::Finish;
using split_kernels::PartialSumParams;
using split_kernels::WindowParams;

enum Op : int32_t {
  kConv,
  kDepthwise,
  kPartialConv,
  kPartialFullyConnected,
  kRequantize,
  kFusedBlock,
  kFusedBlockOver,
  kArrivingBlock,  // kFusedBlock while x arrives, by chance, and then with its end missing for ever
  kPartialSum,
  kChain,
  kAdd,
  kMean,
  kPool,
  kAddOver,
};

constexpr int kMaxIntegers = 700;
constexpr int kWindowIntegers = 19;
constexpr int kFinishIntegers = 4;
constexpr int kAddIntegers = 13;
constexpr int kBlockIntegers = 6;
constexpr int kMaxArrays = 3;

struct Array {
  void* memory;
  uint8_t* data;  // null if there are no bytes
  int32_t size_bytes;
  const int8_t* int8s() const { return reinterpret_cast<const int8_t*>(data); }
  const int16_t* int16s() const { return reinterpret_cast<const int16_t*>(data); }
  const int32_t* int32s() const { return reinterpret_cast<const int32_t*>(data); }
};

struct Case {
  int32_t op;
  int32_t integers[kMaxIntegers];
  int32_t integer_count;
  Array arrays[kMaxArrays];
  int32_t array_count;
};

bool read_bytes(void* to, size_t size) { return std::fread(to, 1, size, stdin) == size; }

bool read_integer(int32_t* to) { return read_bytes(to, sizeof(*to)); }

void write_integer(int32_t value) { std::fwrite(&value, 1, sizeof(value), stdout); }

Array make_array(int32_t size_bytes, bool odd) {
  const size_t lead = odd ? 1 : 0;
  Array array = {nullptr, nullptr, size_bytes};
  if (size_bytes == 0) return array;
  array.memory = std::malloc(static_cast<size_t>(size_bytes) + lead);
  if (array.memory == nullptr) std::abort();
  array.data = static_cast<uint8_t*>(array.memory) + lead;
  std::memset(array.data, 0xA5, static_cast<size_t>(size_bytes));
  return array;
}

bool read_case(Case* to) {
  int32_t count = 0;
  if (!read_integer(&to->op) || !read_integer(&count) || count > kMaxIntegers) return false;
  to->integer_count = count;
  if (!read_bytes(to->integers, sizeof(int32_t) * static_cast<size_t>(count))) return false;
  if (!read_integer(&to->array_count) || to->array_count > kMaxArrays) return false;
  for (Array& array : to->arrays) array = {nullptr, nullptr, 0};
  for (int32_t i = 0; i < to->array_count; ++i) {
    int32_t size_bytes = 0;
    if (!read_integer(&size_bytes)) return false;
    to->arrays[i] = make_array(size_bytes, i != 1 && to->op != kRequantize);
    if (size_bytes && !read_bytes(to->arrays[i].data, static_cast<size_t>(size_bytes))) return false;
  }
  return true;
}

WindowParams window_of(const int32_t* from) {
  WindowParams window;
  int32_t* const fields[] = {
      &window.batches,       &window.in_rows,        &window.in_columns,
      &window.in_channels,   &window.kernel_rows,    &window.kernel_columns,
      &window.kernel_channels, &window.out_rows,     &window.out_columns,
      &window.out_channels,  &window.stride_rows,    &window.stride_columns,
      &window.dilation_rows, &window.dilation_columns, &window.pad_top,
      &window.pad_bottom,    &window.pad_left,       &window.pad_right,
      &window.x_zero_point,
  };
  static_assert(sizeof(fields) == kWindowIntegers * sizeof(fields[0]));
  for (int i = 0; i < kWindowIntegers; ++i) *fields[i] = from[i];
  return window;
}

Finish finish_of(const int32_t* from) {
  Finish finish;
  finish.rounding = from[0];
  finish.y_zero_point = from[1];
  finish.activation_min = from[2];
  finish.activation_max = from[3];
  return finish;
}

Constants constants_of(const Case& c) {
  return {c.arrays[1].data, static_cast<size_t>(c.arrays[1].size_bytes)};
}

void refuse(const char* problem) {
  write_integer(-1);
  write_integer(0);
  write_integer(static_cast<int32_t>(std::strlen(problem)));
  std::fwrite(problem, 1, std::strlen(problem), stdout);
}

#if defined(SPLIT_KERNELS_TICK)
volatile uint32_t* const kSysTick = reinterpret_cast<uint32_t*>(0xE000E010);
constexpr uint32_t kReload = 0xFFFFFF;

void start_counting() {
  kSysTick[1] = kReload;
  kSysTick[2] = 0;
  kSysTick[0] = 5;  // on, processor clock, no interrupt
}
int32_t instructions() {
  return static_cast<int32_t>((kReload - kSysTick[2]) * SPLIT_KERNELS_TICK);
}
#else
void start_counting() {}
int32_t instructions() { return 0; }
#endif

void answer(size_t scratch_bytes, int32_t taken, const Array& y) {
  write_integer(static_cast<int32_t>(scratch_bytes));
  write_integer(taken);
  write_integer(y.size_bytes);
  std::fwrite(y.data, 1, static_cast<size_t>(y.size_bytes), stdout);
}

// Runs `kernel(scratch, y)` with memory of exactly the asked sizes.
template <typename Kernel>
void run(size_t scratch_bytes, int32_t y_bytes, bool y_is_int8, Kernel kernel) {
  const Array scratch = make_array(static_cast<int32_t>(scratch_bytes), false);
  const Array y = make_array(y_bytes, y_is_int8);
  start_counting();
  kernel(scratch.data, y.data);
  answer(scratch_bytes, instructions(), y);
  std::free(scratch.memory);
  std::free(y.memory);
}

void run_partial_convolution(const Case& c) {
  const WindowParams window = window_of(c.integers);
  const char* problem = check_convolution(window);
  if (problem == nullptr) problem = check_partial_conv_2d_constants(window, constants_of(c));
  if (problem != nullptr) return refuse(problem);
  const int32_t positions = window.batches * window.out_rows * window.out_columns;
  run(partial_conv_2d_get_scratch_bytes(window), positions * window.out_channels * 4, false,
      [&](void* scratch, void* y) {
        partial_conv_2d(window, c.arrays[0].int8s(), c.arrays[1].data, scratch,
                        static_cast<int32_t*>(y));
      });
}

void run_convolution(const Case& c) {
  const WindowParams window = window_of(c.integers);
  const Finish finish = finish_of(c.integers + kWindowIntegers);
  const bool depthwise = c.op == kDepthwise;
  const char* problem = depthwise ? check_depthwise(window) : check_convolution(window);
  if (problem == nullptr) problem = check_requantize(finish, window.out_channels);
  if (problem == nullptr) {
    problem = depthwise ? check_depthwise_constants(window, finish, constants_of(c))
                        : check_conv_2d_constants(window, finish, constants_of(c));
  }
  if (problem != nullptr) return refuse(problem);
  const int32_t positions = window.batches * window.out_rows * window.out_columns;
  run(depthwise ? depthwise_conv_2d_get_scratch_bytes(window) : conv_2d_get_scratch_bytes(window),
      positions * window.out_channels, true, [&](void* scratch, void* y) {
        (depthwise ? split_kernels::depthwise_conv_2d : split_kernels::conv_2d)(
            window, finish, c.arrays[0].int8s(), c.arrays[1].data, scratch,
            static_cast<int8_t*>(y));
      });
}

void run_fully_connected(const Case& c) {
  FullyConnectedParams params;
  params.batches = c.integers[0];
  params.in_channels = c.integers[1];
  params.out_channels = c.integers[2];
  params.x_zero_point = c.integers[3];
  const char* problem = check_fully_connected(params);
  if (problem == nullptr) problem = check_fully_connected_constants(params, constants_of(c));
  if (problem != nullptr) return refuse(problem);
  run(partial_fully_connected_get_scratch_bytes(params), params.batches * params.out_channels * 4,
      false, [&](void* scratch, void* y) {
        partial_fully_connected(params, c.arrays[0].int8s(), c.arrays[1].data, scratch,
                                static_cast<int32_t*>(y));
      });
}

void run_requantize(const Case& c) {
  const int32_t positions = c.integers[0], channels = c.integers[1];
  const Finish finish = finish_of(c.integers + 2);
  const char* problem = check_requantize(finish, channels);
  if (problem == nullptr) problem = check_requantize_constants(channels, finish, constants_of(c));
  if (problem != nullptr) return refuse(problem);
  const bool in_16_bits = c.integers[c.integer_count - 1] != 0;
  run(0, positions * channels, true, [&](void*, void* y) {
    auto* const made = static_cast<int8_t*>(y);
    if (in_16_bits) {
      requantize(finish, positions, channels, c.arrays[1].data, c.arrays[0].int16s(), made);
    } else {
      requantize(finish, positions, channels, c.arrays[1].data, c.arrays[0].int32s(), made);
    }
  });
}

void run_partial_sum(const Case& c) {
  PartialSumParams params;
  params.outer = c.integers[0];
  params.summed = c.integers[1];
  params.inner = c.integers[2];
  params.x_zero_point = c.integers[3];
  const bool in_16_bits = c.integers[4] != 0;
  const int32_t most = in_16_bits ? split_kernels::kMostShortSummed : split_kernels::kMostSummed;
  if (const char* problem = check_partial_sum(params, most)) return refuse(problem);
  run(0, params.outer * params.inner * (in_16_bits ? 2 : 4), false, [&](void*, void* y) {
    if (in_16_bits) {
      partial_sum(params, c.arrays[0].int8s(), static_cast<int16_t*>(y));
    } else {
      partial_sum(params, c.arrays[0].int8s(), static_cast<int32_t*>(y));
    }
  });
}

ResidualAdd add_of(const int32_t* from) {
  ResidualAdd add;
  add.present = from[0] != 0;
  add.p_zero_point = from[1], add.residual_zero_point = from[2], add.y_zero_point = from[3];
  add.activation_min = from[4], add.activation_max = from[5];
  add.p = {from[6], from[7]};
  add.residual = {from[8], from[9]};
  add.sum = {from[10], from[11]};
  add.row_positions = from[12];
  return add;
}

// Runs `kernel(operand, y)` with y so many bytes behind an operand, in memory of exactly both.
template <typename Kernel>
void run_over(size_t scratch_bytes, const Array& operand, int32_t y_bytes, int32_t distance,
              Kernel kernel) {
  const Array scratch = make_array(static_cast<int32_t>(scratch_bytes), false);
  const int32_t before = distance < 0 ? -distance : 0;
  const int32_t x_end = before + operand.size_bytes, y_end = before + distance + y_bytes;
  const Array both = make_array(x_end > y_end ? x_end : y_end, false);
  const Array y = {nullptr, both.data + before + distance, y_bytes};
  std::memcpy(both.data + before, operand.data, static_cast<size_t>(operand.size_bytes));
  start_counting();
  kernel(scratch.data, reinterpret_cast<const int8_t*>(both.data + before), y.data);
  answer(scratch_bytes, instructions(), y);
  std::free(scratch.memory);
  std::free(both.memory);
}

// Integers: those of an ADD, and of kAddOver which array y lies over and where it begins, from there.
void run_add(const Case& c) {
  const ResidualAdd add = add_of(c.integers);
  if (const char* problem = check_residual_add(add)) return refuse(problem);
  const int32_t count = c.arrays[0].size_bytes;
  const size_t scratch_bytes = split_kernels::add_get_scratch_bytes(count);
  if (c.op == kAddOver) {
    const int32_t* const over = c.integers + kAddIntegers;
    return run_over(scratch_bytes, c.arrays[over[0]], count, over[1],
                    [&](void* scratch, const int8_t* operand, void* y) {
                      split_kernels::add(add, over[0] == 0 ? operand : c.arrays[0].int8s(),
                                         over[0] == 1 ? operand : c.arrays[1].int8s(), count, scratch,
                                         static_cast<int8_t*>(y));
                    });
  }
  run(scratch_bytes, count, true, [&](void* scratch, void* y) {
    split_kernels::add(add, c.arrays[0].int8s(), c.arrays[1].int8s(), count, scratch,
                       static_cast<int8_t*>(y));
  });
}

// Integers: those of a partial sum, multiplier, shift, zero point of y.
void run_mean(const Case& c) {
  split_kernels::MeanParams mean;
  mean.sums.outer = c.integers[0], mean.sums.summed = c.integers[1];
  mean.sums.inner = c.integers[2], mean.sums.x_zero_point = c.integers[3];
  mean.multiplier = c.integers[4], mean.shift = c.integers[5], mean.y_zero_point = c.integers[6];
  if (const char* problem = check_mean(mean)) return refuse(problem);
  run(0, mean.sums.outer * mean.sums.inner, true, [&](void*, void* y) {
    split_kernels::mean(mean, c.arrays[0].int8s(), static_cast<int8_t*>(y));
  });
}

// Integers: those of a window, whether it is a maximum, activation.
void run_pool(const Case& c) {
  const WindowParams p = window_of(c.integers);
  split_kernels::PoolFinish finish;
  finish.maximum = c.integers[kWindowIntegers] != 0;
  finish.activation_min = c.integers[kWindowIntegers + 1];
  finish.activation_max = c.integers[kWindowIntegers + 2];
  if (const char* problem = check_pool_2d(p, finish)) return refuse(problem);
  run(0, p.batches * p.out_rows * p.out_columns * p.out_channels, true, [&](void*, void* y) {
    split_kernels::pool_2d(p, finish, c.arrays[0].int8s(), static_cast<int8_t*>(y));
  });
}

// x as other devices send it: its bytes, in pieces, in an order that follows from `seed`. What has
// not come reads as another value.
class Sender {
 public:
  Sender(const Array& x, uint32_t seed)
      : x_(x), there_(make_array(x.size_bytes, true)), here_(make_array(kPieces, false)), seed_(seed) {
    std::memset(here_.data, 0, kPieces);
  }
  ~Sender() {
    std::free(there_.memory);
    std::free(here_.memory);
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  const int8_t* x() const { return there_.int8s(); }
  void lose(int32_t piece) { lost_ = piece; }
  split_kernels::Arriving arriving() {
    split_kernels::Arriving arriving;
    arriving.context = this;
    arriving.is_here = [](void* self, const void* begin, size_t bytes) {
      return static_cast<Sender*>(self)->is_here(begin, bytes);
    };
    arriving.wait = [](void* self, const void* begin, size_t bytes) {
      return static_cast<Sender*>(self)->wait(begin, bytes);
    };
    return arriving;
  }

 private:
  static constexpr int32_t kPieces = 13;

  int32_t bound(int32_t piece) const { return x_.size_bytes * piece / kPieces; }
  uint32_t chance() { return seed_ = seed_ * 1664525u + 1013904223u; }
  void bring(int32_t piece) {
    if (piece == lost_) return;
    const int32_t from = bound(piece);
    std::memcpy(there_.data + from, x_.data + from, static_cast<size_t>(bound(piece + 1) - from));
    here_.data[piece] = 1;
  }
  bool all_here(const void* begin, size_t bytes) const {
    const int32_t first = static_cast<int32_t>(static_cast<const uint8_t*>(begin) - there_.data);
    const int32_t stop = first + static_cast<int32_t>(bytes);
    if (first < 0 || stop > x_.size_bytes) std::abort();
    for (int32_t i = 0; i < kPieces; ++i) {
      if (bound(i) < stop && bound(i + 1) > first && !here_.data[i]) return false;
    }
    return true;
  }
  bool is_here(const void* begin, size_t bytes) {
    if (chance() >> 30 == 0) bring(static_cast<int32_t>((chance() >> 16) % kPieces));
    return all_here(begin, bytes);
  }
  bool wait(const void* begin, size_t bytes) {
    for (int32_t tries = 0; !all_here(begin, bytes); ++tries) {
      if (tries == 1000) return false;
      bring(static_cast<int32_t>((chance() >> 16) % kPieces));
    }
    return true;
  }

  const Array& x_;
  Array there_;
  Array here_;
  uint32_t seed_;
  int32_t lost_ = -1;
};

// Integers: sums, tile_columns, whether there is an expansion, window_columns, whether there is a first
// unit and an expansion in it, those of an ADD, then for each stage (three, and three of a first unit)
// those of a window and of a finish. Of kFusedBlockOver also: which array y lies over, and where it
// begins, from there.
void run_fused_block(const Case& c) {
  constexpr int kStageIntegers = kWindowIntegers + kFinishIntegers;
  FusedBlockParams block;
  block.sums = c.integers[0] != 0;
  block.tile_columns = c.integers[1];
  block.expands = c.integers[2] != 0;
  block.window_columns = c.integers[3];
  block.chained = c.integers[4] != 0;
  block.first_expands = c.integers[5] != 0;
  block.add = add_of(c.integers + kBlockIntegers);
  FusedStage* const stages[] = {&block.expand,       &block.depthwise,       &block.project,
                                &block.first_expand, &block.first_depthwise, &block.first_project};
  const int count = block.chained ? 6 : 3;
  for (int i = 0; i < count; ++i) {
    const int32_t* const from = c.integers + kBlockIntegers + kAddIntegers + i * kStageIntegers;
    stages[i]->window = window_of(from);
    stages[i]->finish = finish_of(from + kWindowIntegers);
  }
  const char* problem = check_fused_block(block);
  if (problem == nullptr) problem = check_fused_block_constants(block, constants_of(c));
  if (problem != nullptr) return refuse(problem);
  const WindowParams& p = block.project.window;
  const int32_t values = p.batches * p.out_rows * p.out_columns * p.out_channels;
  if (c.op == kFusedBlockOver) {
    const int32_t* const over = c.integers + kBlockIntegers + kAddIntegers + count * kStageIntegers;
    return run_over(fused_block_get_scratch_bytes(block), c.arrays[over[0]],
                    block.sums ? values * 4 : values, over[1],
                    [&](void* scratch, const int8_t* operand, void* y) {
                      fused_block(block, over[0] == 0 ? operand : c.arrays[0].int8s(),
                                  over[0] == 2 ? operand : c.arrays[2].int8s(), c.arrays[1].data,
                                  scratch, y);
                    });
  }
  run(fused_block_get_scratch_bytes(block), block.sums ? values * 4 : values, !block.sums,
      [&](void* scratch, void* y) {
        const int8_t* const residual = c.arrays[2].int8s();
        if (c.op == kFusedBlock) {
          fused_block(block, c.arrays[0].int8s(), residual, c.arrays[1].data, scratch, y);
          return;
        }
        Sender never(c.arrays[0], static_cast<uint32_t>(values));
        never.lose(c.arrays[0].size_bytes >= 13 ? 12 : 0);
        if (c.arrays[0].size_bytes >= 13 &&
            fused_block(block, never.x(), residual, c.arrays[1].data, scratch, y, never.arriving())) {
          std::abort();
        }
        Sender sender(c.arrays[0], static_cast<uint32_t>(values));
        if (!fused_block(block, sender.x(), residual, c.arrays[1].data, scratch, y,
                         sender.arriving())) {
          std::abort();
        }
      });
}

// Pieces of x, which lie one behind the other, until there are no more.
struct Pieces {
  const Array* x;
  size_t at;
  static bool take(void* context, int32_t, void* to, size_t bytes) {
    Pieces* const self = static_cast<Pieces*>(context);
    if (self->at + bytes > static_cast<size_t>(self->x->size_bytes)) return false;
    std::memcpy(to, self->x->data + self->at, bytes);
    self->at += bytes;
    return true;
  }
};

// Integers: window_columns, tile_columns, piece_rows, whether x is unsigned, and for each unit: whether
// there is an expansion, those of an ADD, then those of three stages.
void run_chain_of_units(const Case& c, int32_t count) {
  constexpr int kStageIntegers = kWindowIntegers + kFinishIntegers;
  ChainUnit units[split_kernels::kMostChainUnits];
  ChainParams chain;
  chain.units = units;
  chain.count = count;
  chain.window_columns = c.integers[0], chain.tile_columns = c.integers[1];
  chain.piece_rows = c.integers[2], chain.is_unsigned = c.integers[3] != 0;
  const int32_t* from = c.integers + 4;
  for (int32_t i = 0; i < count && i < split_kernels::kMostChainUnits; ++i) {
    units[i].expands = *from++ != 0;
    units[i].add = add_of(from);
    from += kAddIntegers;
    for (FusedStage* stage : {&units[i].expand, &units[i].depthwise, &units[i].project}) {
      stage->window = window_of(from);
      stage->finish = finish_of(from + kWindowIntegers);
      from += kStageIntegers;
    }
    split_kernels::set_whole(&units[i]);
  }
  const char* problem = check_chain(chain);
  if (problem == nullptr) problem = check_chain_constants(chain, constants_of(c));
  if (problem != nullptr) return refuse(problem);
  const WindowParams& p = units[count - 1].project.window;
  const int32_t values = p.out_rows * p.out_columns * p.out_channels;
  const size_t scratch_bytes = chain_get_scratch_bytes(chain);
  if (chain.piece_rows == 0) {
    return run(scratch_bytes, values, true, [&](void* scratch, void* y) {
      run_chain(chain, reinterpret_cast<int8_t*>(c.arrays[0].data), c.arrays[1].data, scratch,
                static_cast<int8_t*>(y), {});
    });
  }
  const Array x = make_array(static_cast<int32_t>(chain_get_rolling_bytes(chain)), true);
  run(scratch_bytes, values, true, [&](void* scratch, void* y) {
    Pieces pieces = {&c.arrays[0], 1};  // one byte too few: the last piece does not come
    int8_t* const memory = reinterpret_cast<int8_t*>(x.data);
    int8_t* const result = static_cast<int8_t*>(y);
#if !defined(SPLIT_KERNELS_TICK)  // not where instructions are counted
    if (run_chain(chain, memory, c.arrays[1].data, scratch, result, {&pieces, Pieces::take})) {
      std::abort();
    }
#endif
    pieces.at = 0;
    if (!run_chain(chain, memory, c.arrays[1].data, scratch, result, {&pieces, Pieces::take}) ||
        pieces.at != static_cast<size_t>(c.arrays[0].size_bytes)) {
      std::abort();
    }
  });
  std::free(x.memory);
}

}  // namespace

int main() {
  Case c;
  while (read_case(&c)) {
    switch (c.op) {
      case kPartialFullyConnected:
        run_fully_connected(c);
        break;
      case kRequantize:
        run_requantize(c);
        break;
      case kPartialSum:
        run_partial_sum(c);
        break;
      case kFusedBlock:
      case kFusedBlockOver:
      case kArrivingBlock:
        run_fused_block(c);
        break;
      case kChain:
        run_chain_of_units(c, c.integers[c.integer_count - 1]);
        break;
      case kAdd:
      case kAddOver:
        run_add(c);
        break;
      case kMean:
        run_mean(c);
        break;
      case kPool:
        run_pool(c);
        break;
      case kPartialConv:
        run_partial_convolution(c);
        break;
      default:
        run_convolution(c);
    }
    std::fflush(stdout);
    for (int32_t i = 0; i < c.array_count; ++i) std::free(c.arrays[i].memory);
  }
  return 0;
}
