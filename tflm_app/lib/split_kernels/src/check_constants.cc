// SPDX-License-Identifier: Apache-2.0
// Packed constants: their size, and what kernels rely on in every record. Whether a short rounding
// gives TFLM's bits for every sum, and two products of pairs always fit int16, is for whoever packs to
// prove; here it cannot do worse than sum or round wrongly.
#include "layout.h"
#include "split_kernels/chain.h"

namespace split_kernels {
namespace {

constexpr int32_t kMostShift = 30;

const char* check_channel(const Finish& finish, const ChannelFinish& channel) {
  if (channel.multiplier < 0) return "constants: a multiplier is negative";
  const int32_t shift = channel.shift;
  if (finish.rounding == kAnyRounding) {
    if (shift < -31 || shift > 30) return "constants: a shift outside -31..30";
    return channel.addend == 0 ? nullptr : "constants: an addend without short rounding";
  }
  if (shift < 1 || shift > kMostShift) return "constants: a shift outside 1..30";
  const int64_t addend = (int64_t{1} << (shift - 1)) + finish.y_zero_point * (int64_t{1} << shift);
  return channel.addend == addend ? nullptr : "constants: an addend does not follow from its shift";
}

const char* check_block(const Constants& constants, uint64_t size_bytes) {
  if (constants.data == nullptr || constants.size_bytes != size_bytes) {
    return "constants: their size does not follow from x, y and options";
  }
  return reinterpret_cast<uintptr_t>(constants.data) % 4 == 0 ? nullptr
                                                              : "constants: not aligned to 4 bytes";
}

// Records of pairs; the last may hold one channel only.
const char* check_pairs(const Finish& finish, const void* records, int32_t channels) {
  const PairRecord* record = static_cast<const PairRecord*>(records);
  for (int32_t channel = 0; channel < channels; ++channel) {
    const char* const problem = check_channel(finish, record[channel / 2].finish[channel % 2]);
    if (problem != nullptr) return problem;
  }
  return nullptr;
}

const char* check_convolution(const WindowParams& p, const Finish& finish, const void* constants) {
  const int32_t groups = groups_of(p), per_group = p.out_channels / groups;
  const size_t group_bytes = pairs_bytes(per_group, products_of(p), sizeof(PairRecord));
  const int8_t* data = static_cast<const int8_t*>(constants);
  for (int32_t group = 0; group < groups; ++group, data += group_bytes) {
    const char* const problem = check_pairs(finish, data, per_group);
    if (problem != nullptr) return problem;
  }
  return nullptr;
}

const char* check_taps(const Finish& finish, const void* constants, int32_t channels,
                       size_t channel_bytes) {
  const int8_t* data = static_cast<const int8_t*>(constants);
  for (int32_t channel = 0; channel < channels; ++channel, data += channel_bytes) {
    const TapsRecord& record = *reinterpret_cast<const TapsRecord*>(data);
    const char* const problem =
        check_channel(finish, {record.multiplier, record.addend, record.shift});
    if (problem != nullptr) return problem;
  }
  return nullptr;
}

size_t all_taps_bytes(const WindowParams& p) {
  return static_cast<size_t>(p.out_channels) * taps_bytes(p);
}

}  // namespace

const char* check_conv_2d_constants(const WindowParams& p, const Finish& finish,
                                    const Constants& constants) {
  const char* problem = check_block(constants, conv_constants_bytes(p, sizeof(PairRecord)));
  return problem != nullptr ? problem : check_convolution(p, finish, constants.data);
}

const char* check_depthwise_constants(const WindowParams& p, const Finish& finish,
                                      const Constants& constants) {
  const char* problem = check_block(constants, all_taps_bytes(p));
  if (problem != nullptr) return problem;
  return check_taps(finish, constants.data, p.out_channels, taps_bytes(p));
}

const char* check_partial_conv_2d_constants(const WindowParams& p, const Constants& constants) {
  return check_block(constants, conv_constants_bytes(p, sizeof(SumsRecord)));
}

const char* check_fully_connected_constants(const FullyConnectedParams& p,
                                            const Constants& constants) {
  return check_block(constants, pairs_bytes(p.out_channels, p.in_channels, sizeof(SumsRecord)));
}

const char* check_requantize_constants(int32_t channels, const Finish& finish,
                                       const Constants& constants) {
  const size_t each = sizeof(TapsRecord);
  const char* problem = check_block(constants, static_cast<size_t>(channels) * each);
  return problem != nullptr ? problem : check_taps(finish, constants.data, channels, each);
}

namespace {

// One unit of a block; `sums`: of its projection.
struct Unit {
  const FusedStage* expand;
  const FusedStage* depthwise;
  const FusedStage* project;
  bool sums;

  size_t expansion_bytes() const {
    return expand != nullptr ? conv_constants_bytes(expand->window, sizeof(PairRecord)) : 0;
  }
  size_t projection_bytes() const {
    return conv_constants_bytes(project->window, sums ? sizeof(SumsRecord) : sizeof(PairRecord));
  }
  uint64_t bytes() const {
    return uint64_t{expansion_bytes()} + all_taps_bytes(depthwise->window) + projection_bytes();
  }
  const char* check(const int8_t* data) const {
    const WindowParams& d = depthwise->window;
    const char* problem = nullptr;
    if (expand != nullptr) problem = check_convolution(expand->window, expand->finish, data);
    data += expansion_bytes();
    if (problem == nullptr) {
      problem = check_taps(depthwise->finish, data, d.out_channels, taps_bytes(d));
    }
    if (problem != nullptr || sums) return problem;
    return check_convolution(project->window, project->finish, data + all_taps_bytes(d));
  }
};

}  // namespace

const char* check_fused_block_constants(const FusedBlockParams& block,
                                        const Constants& constants) {
  const Unit first = {block.first_expands ? &block.first_expand : nullptr, &block.first_depthwise,
                      &block.first_project, false};
  const Unit last = {block.expands ? &block.expand : nullptr, &block.depthwise, &block.project,
                     block.sums};
  const uint64_t before = block.chained ? first.bytes() : 0;
  const char* problem = check_block(constants, before + last.bytes());
  if (problem != nullptr) return problem;
  const int8_t* const data = static_cast<const int8_t*>(constants.data);
  if (block.chained) problem = first.check(data);
  return problem != nullptr ? problem : last.check(data + before);
}

const char* check_chain_constants(const ChainParams& chain, const Constants& constants) {
  const auto part_of = [](const ChainUnit& unit) {
    return Unit{unit.expands ? &unit.expand : nullptr, &unit.depthwise, &unit.project, false};
  };
  uint64_t size_bytes = 0;
  for (int32_t i = 0; i < chain.count; ++i) size_bytes += part_of(chain.units[i]).bytes();
  const char* problem = size_bytes > INT32_MAX ? "weights: too large" : nullptr;
  if (problem == nullptr) problem = check_block(constants, size_bytes);
  const int8_t* at = static_cast<const int8_t*>(constants.data);
  for (int32_t i = 0; problem == nullptr && i < chain.count; ++i) {
    const Unit unit = part_of(chain.units[i]);
    problem = unit.check(at);
    at += unit.bytes();
  }
  return problem;
}

}  // namespace split_kernels
