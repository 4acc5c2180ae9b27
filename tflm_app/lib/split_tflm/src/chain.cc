// SPDX-License-Identifier: Apache-2.0
// TFLSPLIT_CHAIN under TFLM: its units are read from options in Prepare, which checks them, and again when
// it runs, to the begin of its scratch: so they take memory only while they are used.
#include "split_kernels/chain.h"

#include "compute_op.h"

namespace split_tflm {
namespace {

using split_device::IntVector;
using split_kernels::ChainParams;
using split_kernels::ChainUnit;
using split_kernels::FusedStage;
using split_kernels::WindowParams;

// Of a unit as stored: three stages, and an ADD; zeros for what is not there.
constexpr uint32_t kStageIntegers = 16;
constexpr uint32_t kAddAt = 3 * kStageIntegers;
constexpr uint32_t kUnitIntegers = kAddAt + 12;

// Of scratch: the kernel's lies behind it (memory/custom.py).
constexpr size_t kScratchAlignment = 16;
size_t units_bytes(uint32_t count) {
  return (count * sizeof(ChainUnit) + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

// Memory for units until Prepare ends.
class UnitsForNow {
 public:
  UnitsForNow(api::Context* context, uint32_t count)
      : context_(api::GetMicroContext(context)),
        memory_(context_->AllocateTempBuffer(units_bytes(count), kScratchAlignment)) {}
  ~UnitsForNow() {
    if (memory_ != nullptr) context_->DeallocateTempBuffer(memory_);
  }
  UnitsForNow(const UnitsForNow&) = delete;
  UnitsForNow& operator=(const UnitsForNow&) = delete;
  ChainUnit* units() const { return reinterpret_cast<ChainUnit*>(memory_); }

 private:
  decltype(api::GetMicroContext(nullptr)) context_;
  uint8_t* memory_;
};

// 0 if there are none, too many, or parts of one.
uint32_t count_of(const FlexMap& options) {
  const uint32_t integers = split_device::integers_option(options, "units").size();
  const uint32_t count = integers / kUnitIntegers;
  return integers % kUnitIntegers == 0 && count <= split_kernels::kMostChainUnits ? count : 0;
}

void set_stage(const IntVector& stored, uint32_t at, FusedStage* stage) {
  WindowParams& p = stage->window;
  p.stride_rows = stored.at(at), p.stride_columns = stored.at(at + 1);
  p.dilation_rows = stored.at(at + 2), p.dilation_columns = stored.at(at + 3);
  p.pad_top = stored.at(at + 4), p.pad_bottom = stored.at(at + 5);
  p.pad_left = stored.at(at + 6), p.pad_right = stored.at(at + 7);
  stage->finish.activation_min = stored.at(at + 8);
  stage->finish.activation_max = stored.at(at + 9);
  stage->finish.y_zero_point = stored.at(at + 10);
  p.kernel_rows = stored.at(at + 12), p.kernel_columns = stored.at(at + 13);
  p.out_channels = stored.at(at + 14);
  stage->finish.rounding = stored.at(at + 15);
}

// The unit's result becomes that of the ADD, and the projection's what it adds to.
void set_add(const IntVector& stored, uint32_t at, int32_t x_zero_point, ChainUnit* unit) {
  split_kernels::ResidualAdd& add = unit->add;
  split_kernels::Finish& p = unit->project.finish;
  add.present = true;
  add.y_zero_point = p.y_zero_point;
  add.activation_min = p.activation_min, add.activation_max = p.activation_max;
  p.activation_min = stored.at(at), p.activation_max = stored.at(at + 1);
  p.y_zero_point = add.p_zero_point = stored.at(at + 2);
  add.p = {stored.at(at + 5), stored.at(at + 6)};
  add.residual = {stored.at(at + 7), stored.at(at + 8)};
  add.sum = {stored.at(at + 9), stored.at(at + 10)};
  add.residual_zero_point = x_zero_point;
}

// A result, as x of what reads it.
struct Made {
  int32_t rows, columns, channels, zero_point;
};

Made connect(const Made& x, FusedStage* stage) {
  WindowParams& p = stage->window;
  p.in_rows = x.rows, p.in_columns = x.columns;
  p.in_channels = p.kernel_channels = x.channels;
  p.x_zero_point = x.zero_point;
  split_kernels::set_out_extent(&p);
  return {p.out_rows, p.out_columns, p.out_channels, stage->finish.y_zero_point};
}

Made read_unit(const IntVector& stored, uint32_t at, const Made& x, ChainUnit* unit) {
  *unit = ChainUnit{};
  unit->expands = stored.at(at + 12) != 0;  // a kernel
  set_stage(stored, at, &unit->expand);
  set_stage(stored, at + kStageIntegers, &unit->depthwise);
  set_stage(stored, at + 2 * kStageIntegers, &unit->project);
  const int32_t made_zero_point = unit->project.finish.y_zero_point;
  if (stored.at(at + kAddAt + 3) != 0) set_add(stored, at + kAddAt, x.zero_point, unit);  // a scale
  Made made = connect(connect(unit->expands ? connect(x, &unit->expand) : x, &unit->depthwise),
                      &unit->project);
  made.zero_point = made_zero_point;
  split_kernels::set_whole(unit);
  return made;
}

ChainParams params_of(api::Context* context, const api::OpNode* node, const FlexMap& options,
                      ChainUnit* units) {
  ChainParams chain;
  chain.units = units;
  chain.count = static_cast<int32_t>(count_of(options));
  chain.window_columns = split_device::integer_option(options, "window_columns");
  chain.tile_columns = split_device::integer_option(options, "tile_columns");
  const IntVector rolling = split_device::integers_option(options, "rolling");
  if (rolling.size() != 0) chain.piece_rows = rolling.at(2);
  chain.is_unsigned = input(context, node, 0)->type == kTfLiteUInt8;
  return chain;
}

void read_units(const api::EvalTensor* x, const FlexMap& options, int32_t x_zero_point,
                const ChainParams& chain) {
  const IntVector rolling = split_device::integers_option(options, "rolling");
  Made made = {dim(x, 1), dim(x, 2), dim(x, 3), x_zero_point - (chain.is_unsigned ? 128 : 0)};
  if (rolling.size() != 0) made.rows = rolling.at(0), made.columns = rolling.at(1);
  const IntVector stored = split_device::integers_option(options, "units");
  for (int32_t i = 0; i < chain.count; ++i) {
    made = read_unit(stored, static_cast<uint32_t>(i) * kUnitIntegers, made, &chain.units[i]);
  }
}

// ---- Checks ----

const char* check_tensors(api::Context* context, const api::OpNode* node, const FlexMap& options) {
  if (const char* problem = check_operands(context, node)) return problem;
  const api::EvalTensor* const x = input(context, node, 0);
  const bool is_image = (has_shape(x, kTfLiteInt8, 4) || has_shape(x, kTfLiteUInt8, 4)) &&
                        dim(x, 0) == 1;
  if (!is_image) return "x must be one image of int8 or uint8, with four dimensions";
  if (!has_shape(output(context, node, 0), kTfLiteInt8, 4)) {
    return "y must be int8 with four dimensions";
  }
  if (count_of(options) == 0) return "option 'units' has another number of elements";
  const uint32_t rolling = split_device::integers_option(options, "rolling").size();
  return rolling == 0 || rolling == 3 ? nullptr : "option 'rolling' has another number of elements";
}

const char* check_ends(const api::EvalTensor* x, const api::EvalTensor* y, int32_t y_zero_point,
                       const ChainParams& chain) {
  const ChainUnit& last = chain.units[chain.count - 1];
  const WindowParams& p = last.project.window;
  const int32_t made = last.add.present ? last.add.y_zero_point : last.project.finish.y_zero_point;
  if (check_result(y, p) != nullptr || made != y_zero_point) {
    return "y does not follow from x and options";
  }
  const bool holds = chain.piece_rows == 0 || static_cast<size_t>(elements(x)) >=
                                                  split_kernels::chain_get_rolling_bytes(chain);
  return holds ? nullptr : "x has not the memory that its rows need";
}

// ---- The operator ----

api::Status prepare(api::Context* context, api::OpNode* node) {
  OpData* const data = data_of(node);
  if (data == nullptr) return kTfLiteError;
  FlexMap options;
  const Problem problem = open_and_check(node, split_device::kChainOptions, &options);
  if (problem.found()) return refuse(context, kChainName, problem);
  const char* what = check_tensors(context, node, options);
  if (what != nullptr) return refuse(context, kChainName, what);
  *data = OpData{0, 0, -1};
  if (!input_zero_point(context, node, 0, &data->x_zero_point) ||
      !output_zero_point(context, node, 0, &data->y_zero_point)) {
    return refuse(context, kChainName, "the arena has no room to look at x and y");
  }
  const uint32_t count = count_of(options);
  const UnitsForNow memory(context, count);
  if (memory.units() == nullptr) {
    return refuse(context, kChainName, "the arena has no room to look at its units");
  }
  const ChainParams chain = params_of(context, node, options, memory.units());
  const api::EvalTensor* const x = input(context, node, 0);
  if (chain.piece_rows > 0 && exchange_of(context) == nullptr) return kTfLiteError;
  read_units(x, options, data->x_zero_point, chain);
  what = split_kernels::check_chain(chain);
  if (what == nullptr) {
    what = check_ends(x, output(context, node, 0), data->y_zero_point, chain);
  }
  if (what == nullptr) {
    what = split_kernels::check_chain_constants(chain, stored_constants(context, node));
  }
  if (what != nullptr) return refuse(context, kChainName, what);
  return request_scratch(context, units_bytes(count) + split_kernels::chain_get_scratch_bytes(chain),
                         data);
}

bool take(void* exchange, int32_t piece, void* to, size_t size) {
  return split_device::take_piece(*static_cast<Exchange*>(exchange), piece, to, size);
}

api::Status invoke(api::Context* context, api::OpNode* node) {
  const OpData& data = *data_of(node);
  const FlexMap options = checked_options(node);
  int8_t* const scratch = static_cast<int8_t*>(scratch_of(context, data));
  const ChainParams chain =
      params_of(context, node, options, reinterpret_cast<ChainUnit*>(scratch));
  read_units(input(context, node, 0), options, data.x_zero_point, chain);
  const bool done = split_kernels::run_chain(
      chain, static_cast<int8_t*>(input(context, node, 0)->data.data), constants_of(context, node),
      scratch + units_bytes(count_of(options)),
      static_cast<int8_t*>(output(context, node, 0)->data.data),
      {exchange_of(context), take});
  return done ? kTfLiteOk : kTfLiteError;
}

}  // namespace

api::Registered* chain_registration() {
  static api::Registered registration =
      compute_registration(kChainName, prepare, invoke);
  return &registration;
}

}  // namespace split_tflm
