// SPDX-License-Identifier: Apache-2.0
// Kernel parameters. What check_...() accepts must run within memory of exactly its size and give the
// bits of the loops in naive.h. Input: operator, parameters, then the tensors' values.
//
// Another operator is a function that reads its parameters, and a line in kOperators. Only append to
// kOperators: the corpus names operators by their place.
#include "input.h"
#include "naive.h"
#include "packing.h"
#include "split_kernels/kernels.h"

namespace {

using namespace split_kernels;
using fuzz::Input;
using naive::Tables;
using packing::Packed;

constexpr int64_t kMostValues = 20'000;   // of a tensor
constexpr int64_t kMostProducts = 200'000;  // of an operator

// ---- Reading parameters ----

// Mostly small, some of them extreme.
int32_t number(Input* input) {
  const uint8_t kind = input->u8();
  if (kind < 200) return kind % 13;
  if (kind < 230) return kind - 200 + 13;
  const int32_t value = input->i32();
  return kind < 250 ? value : INT32_MAX - (value & 3);
}

int32_t zero_point(Input* input) { return static_cast<int8_t>(input->u8()); }

WindowParams read_window(Input* input) {
  WindowParams p;
  p.batches = number(input);
  p.in_rows = number(input);
  p.in_columns = number(input);
  p.in_channels = number(input);
  p.kernel_rows = number(input);
  p.kernel_columns = number(input);
  p.kernel_channels = number(input);
  p.out_channels = number(input);
  p.stride_rows = number(input);
  p.stride_columns = number(input);
  p.dilation_rows = number(input);
  p.dilation_columns = number(input);
  p.pad_top = number(input);
  p.pad_bottom = number(input);
  p.pad_left = number(input);
  p.pad_right = number(input);
  p.x_zero_point = zero_point(input);
  set_out_extent(&p);
  // As an operator's tensors may claim another result.
  if (input->u8() == 255) p.out_rows = number(input), p.out_columns = number(input);
  return p;
}

// How sums become int8, in explicit form.
class Explicit {
 public:
  Explicit(Input* input, int32_t channels)
      : bias_(fuzz::exactly<int32_t>(static_cast<size_t>(channels))),
        multiplier_(fuzz::exactly<int32_t>(static_cast<size_t>(channels))),
        shift_(fuzz::exactly<int32_t>(static_cast<size_t>(channels))) {
    const bool has_bias = input->flag();
    finish.y_zero_point = zero_point(input);
    finish.activation_min = zero_point(input);
    finish.activation_max = zero_point(input);
    for (int32_t c = 0; c < channels; ++c) {
      const auto at = static_cast<size_t>(c);
      bias_[at] = input->i32();
      multiplier_[at] = input->i32() & INT32_MAX;
      shift_[at] = -31 + input->u8() % 62;
    }
    tables = {has_bias ? bias_.get() : nullptr, multiplier_.get(), shift_.get()};
  }
  // Lets kernels round these sums as shortly as they may.
  void shorten(int32_t channels, const std::vector<int32_t>& sums) {
    finish.rounding = packing::rounding_of(finish, tables, channels, sums);
  }
  Finish finish;
  Tables tables;

 private:
  std::unique_ptr<int32_t[]> bias_, multiplier_, shift_;
};

std::unique_ptr<int8_t[]> read_values(Input* input, int64_t count) {
  auto values = fuzz::exactly<int8_t>(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const auto filler = static_cast<int8_t>(i * 37 % 256);
    values[static_cast<size_t>(i)] =
        input->empty() ? filler : static_cast<int8_t>(input->u8());
  }
  return values;
}

constexpr size_t kMostScratchBytes = size_t{1} << 28;
std::unique_ptr<int8_t[]> scratch_of(size_t bytes) { return fuzz::exactly<int8_t>(bytes); }

// ---- Sizes; parameters have passed their check, so no product leaves 64 bits ----

int64_t x_values(const WindowParams& p) {
  return int64_t{p.batches} * p.in_rows * p.in_columns * p.in_channels;
}

int64_t y_values(const WindowParams& p) {
  return int64_t{p.batches} * p.out_rows * p.out_columns * p.out_channels;
}

int64_t weight_values(const WindowParams& p, bool depthwise) {
  return int64_t{p.kernel_rows} * p.kernel_columns * p.out_channels *
         (depthwise ? 1 : p.kernel_channels);
}

bool is_small(const WindowParams& p, bool depthwise) {
  const int64_t weights = weight_values(p, depthwise);
  return x_values(p) <= kMostValues && y_values(p) <= kMostValues && weights <= kMostValues &&
         y_values(p) * weights / p.out_channels <= kMostProducts;
}

template <typename T>
void require_equal(const T* got, const std::vector<T>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) REQUIRE(got[i] == wanted[i]);
}

// ---- Operators ----

// Runs only what the check of the constants lets pass, which is all that is packed soundly.
#define REQUIRE_SOUND(problem) REQUIRE((problem) == nullptr)

// Constants as a damaged model may have them: what their check lets pass runs within its memory,
// whatever comes out.
template <typename Check, typename Run>
void run_damaged(Input* input, int8_t* constants, size_t size, Check check, Run run) {
  if (input->empty() || size == 0) return;
  for (int left = input->u8() % 4; left >= 0; --left) {
    constants[input->u16() % size] = static_cast<int8_t>(input->u8());
  }
  if (check(Constants{constants, size}) == nullptr) run();
}

template <bool kDepthwise>
void convolution(Input* input) {
  const WindowParams p = read_window(input);
  if (kDepthwise ? check_depthwise(p) : check_convolution(p)) return;
  if (!is_small(p, kDepthwise)) return;
  Explicit e(input, p.out_channels);
  if (check_requantize(e.finish, p.out_channels)) return;
  const auto x = read_values(input, x_values(p));
  const auto w = read_values(input, weight_values(p, kDepthwise));
  const auto y = fuzz::exactly<int8_t>(static_cast<size_t>(y_values(p)));
  const auto sums = naive::sums(p, kDepthwise, x.get(), w.get());
  e.shorten(p.out_channels, sums);
  const Packed packed = kDepthwise ? packing::taps(p, w.get(), e.finish, e.tables)
                                   : packing::pairs(p, w.get(), e.finish, &e.tables);
  const auto constants = packed.exactly();
  const auto check = kDepthwise ? check_depthwise_constants : check_conv_2d_constants;
  REQUIRE_SOUND(check(p, e.finish, {constants.get(), packed.size()}));
  const size_t scratch_bytes =
      kDepthwise ? depthwise_conv_2d_get_scratch_bytes(p) : conv_2d_get_scratch_bytes(p);
  if (scratch_bytes > kMostScratchBytes) return;  // no arena has it: Prepare would end there
  const auto scratch = scratch_of(scratch_bytes);
  const auto run = kDepthwise ? depthwise_conv_2d : conv_2d;
  run(p, e.finish, x.get(), constants.get(), scratch.get(), y.get());
  require_equal(y.get(), naive::requantized(e.finish, e.tables, p.out_channels, sums));
  run_damaged(input, constants.get(), packed.size(),
              [&](const Constants& damaged) { return check(p, e.finish, damaged); },
              [&] { run(p, e.finish, x.get(), constants.get(), scratch.get(), y.get()); });
}

void partial_convolution(Input* input) {
  const WindowParams p = read_window(input);
  if (check_convolution(p) || p.kernel_channels != p.in_channels || !is_small(p, false)) return;
  const auto x = read_values(input, x_values(p));
  const auto w = read_values(input, weight_values(p, false));
  const auto y = fuzz::exactly<int32_t>(static_cast<size_t>(y_values(p)));
  const Packed packed = packing::pairs(p, w.get(), Finish(), nullptr);
  const auto constants = packed.exactly();
  REQUIRE_SOUND(check_partial_conv_2d_constants(p, {constants.get(), packed.size()}));
  const auto scratch = scratch_of(partial_conv_2d_get_scratch_bytes(p));
  partial_conv_2d(p, x.get(), constants.get(), scratch.get(), y.get());
  require_equal(y.get(), naive::sums(p, false, x.get(), w.get()));
  run_damaged(input, constants.get(), packed.size(),
              [&](const Constants& damaged) { return check_partial_conv_2d_constants(p, damaged); },
              [&] { partial_conv_2d(p, x.get(), constants.get(), scratch.get(), y.get()); });
}

void fully_connected(Input* input) {
  FullyConnectedParams p;
  p.batches = number(input);
  p.in_channels = number(input);
  p.out_channels = number(input);
  p.x_zero_point = zero_point(input);
  if (check_fully_connected(p)) return;
  WindowParams same;
  same.batches = p.batches;
  same.in_rows = same.in_columns = same.out_rows = same.out_columns = 1;
  same.in_channels = same.kernel_channels = p.in_channels;
  same.out_channels = p.out_channels;
  same.x_zero_point = p.x_zero_point;
  if (!is_small(same, false)) return;
  const auto x = read_values(input, x_values(same));
  const auto w = read_values(input, weight_values(same, false));
  const auto y = fuzz::exactly<int32_t>(static_cast<size_t>(y_values(same)));
  const Packed packed = packing::pairs(same, w.get(), Finish(), nullptr);
  const auto constants = packed.exactly();
  REQUIRE_SOUND(check_fully_connected_constants(p, {constants.get(), packed.size()}));
  const auto scratch = scratch_of(partial_fully_connected_get_scratch_bytes(p));
  partial_fully_connected(p, x.get(), constants.get(), scratch.get(), y.get());
  require_equal(y.get(), naive::sums(same, false, x.get(), w.get()));
}

// In place too: sums and result may begin at the same address.
void requantization(Input* input) {
  const int32_t positions = input->u8() % 20 + 1, channels = input->u8() % 20 + 1;
  Explicit e(input, channels);
  if (check_requantize(e.finish, channels)) return;
  const auto count = static_cast<size_t>(positions) * static_cast<size_t>(channels);
  const auto sums = fuzz::exactly<int32_t>(count);
  for (size_t i = 0; i < count; ++i) sums[i] = input->i32();
  const std::vector<int32_t> kept(sums.get(), sums.get() + count);
  e.shorten(channels, kept);
  WindowParams none;
  none.out_channels = channels;
  none.kernel_rows = none.kernel_columns = 0;
  const Packed packed = packing::taps(none, nullptr, e.finish, e.tables);
  const auto constants = packed.exactly();
  REQUIRE_SOUND(check_requantize_constants(channels, e.finish, {constants.get(), packed.size()}));
  auto* const y = reinterpret_cast<int8_t*>(sums.get());
  requantize(e.finish, positions, channels, constants.get(), sums.get(), y);
  require_equal(y, naive::requantized(e.finish, e.tables, channels, kept));
  std::memcpy(sums.get(), kept.data(), count * sizeof(int32_t));
  run_damaged(input, constants.get(), packed.size(),
              [&](const Constants& damaged) {
                return check_requantize_constants(channels, e.finish, damaged);
              },
              [&] { requantize(e.finish, positions, channels, constants.get(), sums.get(), y); });
}

// The 1x1 projection of what `before` makes.
WindowParams projection_of(const WindowParams& before, int32_t channels, int32_t x_zero_point) {
  WindowParams p;
  p.batches = before.batches;
  p.in_rows = p.out_rows = before.out_rows;
  p.in_columns = p.out_columns = before.out_columns;
  p.in_channels = p.kernel_channels = before.out_channels;
  p.out_channels = channels;
  p.x_zero_point = x_zero_point;
  return p;
}

// One stage of a block by the naive loops; `value` becomes its result.
void apply(const WindowParams& p, bool depthwise, const int8_t* w, Explicit* e,
           std::vector<int8_t>* value) {
  const auto sums = naive::sums(p, depthwise, value->data(), w);
  e->shorten(p.out_channels, sums);
  *value = naive::requantized(e->finish, e->tables, p.out_channels, sums);
}

void block(Input* input) {
  FusedBlockParams b;
  b.sums = input->flag();
  const bool expands = input->flag();
  b.tile_columns = number(input);
  if (expands) b.expand.window = read_window(input);
  WindowParams& p = b.depthwise.window = read_window(input);
  if (expands) {  // mostly what fits
    const WindowParams& e = b.expand.window;
    if (check_convolution(e) || !is_small(e, false)) return;
    p.batches = e.batches, p.in_rows = e.out_rows, p.in_columns = e.out_columns;
    p.in_channels = p.out_channels = e.out_channels;
    set_out_extent(&p);
  }
  if (check_depthwise(p) || !is_small(p, true)) return;
  const int32_t channels = input->u8() % 9 + 1;
  Explicit expand(input, expands ? b.expand.window.out_channels : 0);
  Explicit depthwise(input, p.out_channels), project(input, channels);
  b.expands = expands;
  if (expands) p.x_zero_point = expand.finish.y_zero_point;
  b.project.window = projection_of(p, channels, depthwise.finish.y_zero_point);
  if (!is_small(b.project.window, false)) return;
  const WindowParams& first = expands ? b.expand.window : p;
  const auto x = read_values(input, x_values(first));
  const auto ew = read_values(input, expands ? weight_values(b.expand.window, false) : 0);
  const auto dw = read_values(input, weight_values(p, true));
  const auto pw = read_values(input, weight_values(b.project.window, false));
  b.expand.finish = expand.finish;
  b.depthwise.finish = depthwise.finish;
  b.project.finish = project.finish;
  if (check_fused_block(b)) return;
  std::vector<int8_t> value(x.get(), x.get() + x_values(first));
  Packed packed;
  if (expands) {
    apply(b.expand.window, false, ew.get(), &expand, &value);
    b.expand.finish = expand.finish;
    packed.append(packing::pairs(b.expand.window, ew.get(), expand.finish, &expand.tables));
  }
  apply(p, true, dw.get(), &depthwise, &value);
  b.depthwise.finish = depthwise.finish;
  packed.append(packing::taps(p, dw.get(), depthwise.finish, depthwise.tables));
  const auto sums = naive::sums(b.project.window, false, value.data(), pw.get());
  if (!b.sums) project.shorten(channels, sums);
  b.project.finish = project.finish;
  packed.append(packing::pairs(b.project.window, pw.get(), project.finish,
                               b.sums ? nullptr : &project.tables));
  const auto constants = packed.exactly();
  REQUIRE_SOUND(check_fused_block(b));
  REQUIRE_SOUND(check_fused_block_constants(b, {constants.get(), packed.size()}));
  const size_t bytes = fused_block_get_scratch_bytes(b);
  if (bytes > 1'000'000) return;
  const auto scratch = scratch_of(bytes);
  const auto count = static_cast<size_t>(y_values(b.project.window));
  const auto y = fuzz::exactly<int8_t>(b.sums ? count * sizeof(int32_t) : count);
  fused_block(b, x.get(), nullptr, constants.get(), scratch.get(), y.get());
  if (b.sums) {
    require_equal(reinterpret_cast<const int32_t*>(y.get()), sums);
  } else {
    require_equal(y.get(), naive::requantized(project.finish, project.tables, channels, sums));
  }
  run_damaged(input, constants.get(), packed.size(),
              [&](const Constants& damaged) { return check_fused_block_constants(b, damaged); },
              [&] { fused_block(b, x.get(), nullptr, constants.get(), scratch.get(), y.get()); });
}

constexpr void (*kOperators[])(Input*) = {
    convolution<false>, convolution<true>, partial_convolution,
    fully_connected,    requantization,    block,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  kOperators[input.u8() % (sizeof kOperators / sizeof *kOperators)](&input);
  return 0;
}
