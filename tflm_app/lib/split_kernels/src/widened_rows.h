// SPDX-License-Identifier: Apache-2.0
// Rows of d of a block as widened groups of four positions, where a schedule makes them so: they wait in
// the memory that else holds d and four widened positions of it, until there are enough groups that
// widening the weights of the projection pays.
#ifndef SPLIT_KERNELS_SRC_WIDENED_ROWS_H_
#define SPLIT_KERNELS_SRC_WIDENED_ROWS_H_

#include "block_steps.h"

namespace split_kernels {

class WidenedRows {
 public:
  // Groups for which `memory_bytes` suffice: 0 if rows are not to be made so. `apart`: y shares nothing
  // with what is added, so that it can hold the sums before.
  static int32_t most_groups(const FusedBlockParams& block, size_t memory_bytes, bool apart) {
    // With fewer the shorter runs of columns cost more than is won.
    constexpr int32_t kLeastGroups = kWidensPairs ? 2 : 3;
    const bool waits = block.add.present && !apart;
    const WindowParams& p = block.depthwise.window;
    if constexpr (kMultipliesGroups) {
      if (!widens_depthwise(taps_of(p, nullptr), block.depthwise.finish)) return 0;
    }
    if (!kMultipliesGroups || block.sums || !doubles(block.project.finish)) return 0;
    const int32_t group = group_bytes(p), made = kPositions * block.project.window.out_channels;
    const int32_t left = static_cast<int32_t>(memory_bytes) - (kWidensWeights ? group / 2 : 0);
    const int32_t groups = left / (group + (waits ? made : 0));
    // What the last positions make lies behind their group.
    return groups < kLeastGroups || made > (groups - 1) * group ? 0 : groups;
  }
  static int32_t group_bytes(const WindowParams& p) {
    return 2 * kPositions * fours(p.out_channels);
  }

  // `position`: the first one's, in y. `apart`: as above.
  WidenedRows(const FusedBlockParams& block, const void* constants, int32_t groups, int8_t* memory,
              int32_t position, const int8_t* residual, int8_t* y, bool apart)
      : block_(block),
        product_(product_of(constants, block.project.window.out_channels,
                            block.project.window.in_channels, sizeof(PairRecord))),
        groups_(groups),
        group_(kPositions * product_.products),
        d_(reinterpret_cast<int16_t*>(memory)),
        weights_(d_ + groups * group_),
        position_(position),
        residual_(residual),
        y_(y),
        apart_(apart) {}

  // Columns that are to be made next, of `left`.
  int32_t room(int32_t left) {
    constexpr int32_t kFew = 8;  // a channel's constants are read for each run of columns
    const int32_t most = kPositions * groups_;
    if (left > most - waiting_ && most - waiting_ < kFew) project_groups();
    return least(left, most - waiting_);
  }
  void add(const Taps& taps, const Planes& planes, int32_t columns) {
    if constexpr (kMultipliesGroups) {
      depthwise_row_widened(taps, block_.depthwise.finish, planes,
                            block_.depthwise.window.in_channels, columns, waiting_, d_);
    }
    waiting_ += columns;
  }
  // Until the next columns only so many groups, one or more, keep their memory.
  void keep(int32_t groups) {
    if (waiting_ > groups * kPositions) project_groups();
  }
  // All that waits; the next columns begin at `position`.
  void finish(int32_t position) {
    project_groups();
    if (waiting_ > 0) project_some(1, waiting_, d_ + group_);
    position_ = position;
    waiting_ = 0;
  }

 private:
  // Whole groups; what is left moves to the front.
  void project_groups() {
    const int32_t groups = waiting_ / kPositions, some = groups * kPositions;
    if (groups == 0) return;
    project_some(groups, some, kWidensWeights ? weights_ + group_ / 2 : weights_);
    waiting_ -= some;
    position_ += some;
    if (waiting_ > 0) {
      std::memcpy(d_, d_ + groups * group_, static_cast<size_t>(group_) * sizeof *d_);
    }
  }

  // `positions` of these groups; a sum, or what is behind the last position, takes bytes from `beside` on.
  void project_some(int32_t groups, int32_t positions, int16_t* beside) {
    const int32_t channels = product_.channels, first = position_ * channels;
    const bool whole = positions == groups * kPositions;
    int8_t* const sums = reinterpret_cast<int8_t*>(beside);
    int8_t* const p = whole && (apart_ || !block_.add.present) ? y_ + first : sums;
    if constexpr (kMultipliesGroups) {
      multiply_group_rows(product_, block_.project.finish, d_, groups, weights_, channels, p);
    }
    if (block_.add.present) {
      add_positions(block_.add, block_.project.window, p, residual_, position_, positions,
                    y_ + first);
    } else if (!whole) {
      std::memcpy(y_ + first, p, static_cast<size_t>(positions * channels));
    }
  }

  const FusedBlockParams& block_;
  Product product_;
  int32_t groups_;  // at most
  int32_t group_;   // values of one
  int16_t* d_;
  int16_t* weights_;
  int32_t position_;  // of the first that waits
  int32_t waiting_ = 0;
  const int8_t* residual_;
  int8_t* y_;
  bool apart_;
};

}  // namespace split_kernels

#endif  // SPLIT_KERNELS_SRC_WIDENED_ROWS_H_
