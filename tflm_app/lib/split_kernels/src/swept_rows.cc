// SPDX-License-Identifier: Apache-2.0
#include "swept_rows.h"

namespace split_kernels {
namespace {

int32_t channels_together(const WindowParams& p) { return least(kSweptChannels, p.in_channels); }

size_t carried_bytes(const WindowParams& p, int32_t columns) {
  if (columns >= p.out_columns) return 0;
  return fours(static_cast<size_t>(p.in_channels) * static_cast<size_t>(new_rows(p)) *
               static_cast<size_t>(shared_columns(p)));
}

// Planes of new rows lie as far from each other as those of kept ones; columns of the new rows that fit
// between two of them lie there one row behind the other.
bool are_between(const WindowParams& p, int32_t columns) {
  return new_rows(p) * columns_under(p, columns) <= columns_under(p, p.out_columns);
}

// For new rows of some channels, or for their windows of some columns.
size_t fresh_bytes(const WindowParams& p, int32_t columns) {
  const size_t row = static_cast<size_t>(columns_under(p, p.out_columns));
  const size_t rows = are_between(p, columns) ? row : static_cast<size_t>(new_rows(p)) * row;
  const size_t windows = static_cast<size_t>(reach_rows(p)) *
                         static_cast<size_t>(columns_under(p, columns));
  return fours(static_cast<size_t>(channels_together(p)) * (rows > windows ? rows : windows) +
               kSpareBytes);
}

// d of all channels.
size_t d_bytes(const WindowParams& p, int32_t columns) {
  return columns <= kPositions ? widened_bytes(columns, p.out_channels) : chunk_bytes(p, columns);
}

size_t expansion_bytes_of(const SweptUnit& unit) {
  if (unit.expand == nullptr) return 0;
  return expansion_bytes(unit.expand->window, unit.expand->window.out_columns);
}

// What lies behind d while channels are made, and while they are projected.
size_t behind_bytes(const SweptUnit& unit, int32_t columns) {
  const WindowParams &p = unit.depthwise->window, &y = unit.project->window;
  size_t making = expansion_bytes_of(unit), projecting = 0;
  if (columns <= kPositions) {
    making += fours(static_cast<size_t>(columns) * static_cast<size_t>(channels_together(p)));
    if (unit.add->present) {
      projecting = fours(static_cast<size_t>(columns) * static_cast<size_t>(y.out_channels));
    }
  } else {
    projecting = projection_bytes(y, unit.add->present, columns);
  }
  return making > projecting ? making : projecting;
}

void copy_words(const int8_t* from, int32_t count, int8_t* to) {
  const int8_t* const end = from + count;
  for (; end - from >= 16; from += 16, to += 16) {
    uint32_t words[4];
    std::memcpy(words, from, sizeof words);
    std::memcpy(to, words, sizeof words);
  }
  for (; end - from >= 4; from += 4, to += 4) std::memcpy(to, from, 4);
  while (from != end) *to++ = *from++;
}

template <size_t Count>
void copy_few(const int8_t* from, int32_t from_plane, int8_t* to, int32_t to_plane, int32_t planes) {
  for (; planes > 0; --planes, from += from_plane, to += to_plane) std::memcpy(to, from, Count);
}

// Columns of some planes: a run of each; those that lie apart do so where rows are side by side.
void copy_runs(const int8_t* from, int32_t from_step, int32_t from_plane, int8_t* to,
                     int32_t to_step, int32_t to_plane, int32_t planes, int32_t columns) {
  if (from_step == 1 && to_step == 1) {
    if (columns == 2) return copy_few<2>(from, from_plane, to, to_plane, planes);
    if (columns == 4) return copy_few<4>(from, from_plane, to, to_plane, planes);
    if (columns == from_plane && columns == to_plane) return copy_words(from, planes * columns, to);
    for (; planes > 0; --planes, from += from_plane, to += to_plane) copy_words(from, columns, to);
    return;
  }
  for (; planes > 0; --planes, from += from_plane, to += to_plane) {
    for (int32_t i = 0; i < columns; ++i) to[i * to_step] = from[i * from_step];
  }
}

void fill_columns(const WindowParams& p, int32_t channels, int8_t* to, int32_t columns,
                  int32_t step, int32_t plane_bytes) {
  if (columns <= 0) return;
  for (int32_t channel = 0; channel < channels; ++channel, to += plane_bytes) {
    for (int32_t i = 0; i < columns; ++i) to[i * step] = static_cast<int8_t>(p.x_zero_point);
  }
}

}  // namespace

size_t swept_bytes(const SweptUnit& unit, int32_t columns) {
  const WindowParams& p = unit.depthwise->window;
  return carried_bytes(p, columns) + fresh_bytes(p, columns) + d_bytes(p, columns) +
         behind_bytes(unit, columns);
}

SweptRows::SweptRows(const SweptUnit& unit, const UnitConstants& constants, int32_t columns,
                     int8_t* kept, int8_t* memory, const RowsOfX& rows)
    : unit_(unit),
      p_(unit.depthwise->window),
      constants_(constants),
      projection_{unit.project, constants.project, unit.add, unit.sums},
      rows_(rows),
      columns_(columns),
      row_bytes_(columns_under(p_, p_.out_columns)),
      step_(kRowsSideBySide ? reach_rows(p_) : 1),
      fresh_step_(are_between(p_, columns) ? columns_under(p_, columns)
                                           : channels_together(p_) * row_bytes_),
      plane_bytes_(kRowsSideBySide ? reach_rows(p_) * columns_under(p_, columns) : row_bytes_),
      kept_(kept),
      carried_(memory),
      fresh_(carried_ + carried_bytes(p_, columns)),
      work_(fresh_ + fresh_bytes(p_, columns)),
      expansion_(work_ + d_bytes(p_, columns)) {}

// Row `i` of those under the window, of channel `channel`.
int8_t* SweptRows::kept_row(int32_t i, int32_t channel) const {
  const int32_t kept = kept_rows(p_), slot = first_ + i < kept ? first_ + i : first_ + i - kept;
  return kept_ + (slot * p_.in_channels + channel) * row_bytes_;
}

// New row `i`, of the first of the channels that are there: the columns under the window.
int8_t* SweptRows::new_row(int32_t i) const {
  return kRowsSideBySide ? fresh_ + kept_rows(p_) + i : fresh_ + i * fresh_step_;
}

// Columns [from, stop) of row `row` of some channels of e, counted from the left padding on, as columns of
// planes.
void SweptRows::make_map(int32_t row, int32_t channel, int32_t count, int32_t from, int32_t stop,
                         int8_t* to, int32_t step, int32_t plane_bytes) {
  const int32_t left = least(from < p_.pad_left ? p_.pad_left : from, stop);
  const int32_t edge = p_.pad_left + p_.in_columns;
  const int32_t right = has_row(p_, row) ? (stop < edge ? stop : edge) : left;
  const int32_t behind = right > left ? right : left;
  fill_columns(p_, count, to, left - from, step, plane_bytes);
  fill_columns(p_, count, to + (behind - from) * step, stop - behind, step, plane_bytes);
  if (right <= left) return;
  const int32_t column = left - p_.pad_left;
  int8_t* const there = to + (left - from) * step;
  if (unit_.expand != nullptr) {
    return expand(row, channel, count, column, right - left, there, step, plane_bytes);
  }
  const RowOfX x = rows_.find(rows_.context, row);
  const int8_t* const values = x.x + (x.row * p_.in_columns + column) * p_.in_channels + channel;
  copy_columns(values, p_.in_channels, count, right - left, plane_bytes, step, there);
}

// Up to four positions of x stay widened for all channels.
void SweptRows::expand(int32_t row, int32_t channel, int32_t count, int32_t column, int32_t columns,
                       int8_t* to, int32_t step, int32_t plane_bytes) {
  const Finish& finish = unit_.expand->finish;
  const WindowParams& whole = unit_.expand->window;
  const int32_t products = products_of(whole);
  int16_t* const widened = reinterpret_cast<int16_t*>(expansion_);
  int8_t* const gathered = expansion_ + widened_bytes(whole.out_columns, products);
  const Product product = some_channels(
      product_of(constants_.expand, whole.out_channels, products, sizeof(PairRecord)), channel, count);
  const bool together = columns <= kPositions;
  const bool here = together && widened_row_ == row && widened_column_ == column;
  if (!here) {
    const RowOfX from = rows_.find(rows_.context, row);
    for (int32_t at = 0; at < columns; at += kPositions) {
      const int32_t positions = least(kPositions, columns - at);
      widen_windows(*from.window, from.x, 0, from.row, column + at, positions, doubles(finish), gathered,
                    widened);
      if (!together) multiply(product, finish, widened, positions, {to + at * step, step, plane_bytes});
    }
    widened_row_ = together ? row : kNoRow, widened_column_ = column;
  }
  if (together) multiply(product, finish, widened, columns, {to, step, plane_bytes});
}

void SweptRows::begin_with(int32_t i) {
  for (int32_t channel = 0; channel < p_.in_channels; channel += kSweptChannels) {
    make_map(i - p_.pad_top, channel, least(kSweptChannels, p_.in_channels - channel), 0, row_bytes_,
             kept_row(i, channel), 1, row_bytes_);
  }
}

void SweptRows::make(int32_t row, const int8_t* residual, int32_t position, void* y) {
  const int32_t kept = kept_rows(p_), moved = least(kept, new_rows(p_));
  if (kept > 0) first_ = row * moved % kept;
  for (int32_t at = 0; at < p_.out_columns; at += columns_) {
    make_columns(row, at, least(columns_, p_.out_columns - at), residual, position, y);
  }
}

void SweptRows::make_columns(int32_t row, int32_t at, int32_t columns, const int8_t* residual,
                             int32_t position, void* y) {
  const int32_t under = row * p_.stride_rows - p_.pad_top, kept = kept_rows(p_);
  const int32_t from = at * p_.stride_columns, width = columns_under(p_, columns);
  const int32_t again = at == 0 ? 0 : shared_columns(p_), moved = columns * p_.stride_columns;
  const bool last = at + columns == p_.out_columns;
  const int32_t carried_plane = new_rows(p_) * shared_columns(p_);
  for (int32_t channel = 0; channel < p_.in_channels; channel += kSweptChannels) {
    const int32_t count = least(kSweptChannels, p_.in_channels - channel);
    for (int32_t i = 0; i < new_rows(p_); ++i) {
      int8_t* const to = new_row(i);
      copy_runs(carried(i, channel), 1, carried_plane, to, step_, plane_bytes_, count, again);
      make_map(under + kept + i, channel, count, from + again, from + width, to + again * step_, step_,
               plane_bytes_);
    }
    take_kept(channel, count, from, width);
    multiply_taps(channel, count, from, columns);
    keep(channel, count, from, last ? width : moved);
    for (int32_t i = 0; i < new_rows(p_) && !last; ++i) {
      copy_runs(new_row(i) + moved * step_, step_, plane_bytes_, carried(i, channel), 1,
                      carried_plane, count, shared_columns(p_));
    }
  }
  project(columns, residual, position + at, y);
}

// Where rows lie side by side, the columns under a window of those that are kept.
void SweptRows::take_kept(int32_t channel, int32_t count, int32_t from, int32_t width) {
  if (!kRowsSideBySide) return;
  for (int32_t i = 0; i < kept_rows(p_); ++i) {
    copy_runs(kept_row(i, channel) + from, 1, row_bytes_, fresh_ + i, step_, plane_bytes_, count,
                    width);
  }
}

// Of the new rows those that the next row of the result reads too, in the place of the oldest.
void SweptRows::keep(int32_t channel, int32_t count, int32_t from, int32_t columns) {
  const int32_t fresh = new_rows(p_), moved = least(kept_rows(p_), fresh);
  for (int32_t i = 0; i < moved; ++i) {
    copy_runs(new_row(fresh - moved + i), step_, plane_bytes_,
                    kept_row(i, channel) + from, 1, row_bytes_, count, columns);
  }
}

// d of some channels.
void SweptRows::multiply_taps(int32_t channel, int32_t count, int32_t from, int32_t columns) {
  Planes planes = {fresh_, plane_bytes_, 1, step_, reach_rows(p_), 0, 0, 0};
  if (!kRowsSideBySide) {
    planes.data = kept_ + channel * row_bytes_ + from;
    planes.row_step = p_.in_channels * row_bytes_;
    planes.rows = kept_rows(p_), planes.first = first_;
    planes.fresh = static_cast<int32_t>(new_row(0) - planes.data);
    planes.fresh_step = fresh_step_;
  }
  Taps taps = taps_of(p_, constants_.depthwise);
  taps.constants += static_cast<size_t>(channel) * taps_bytes(p_);
  const Finish& finish = unit_.depthwise->finish;
  if (!widens()) {
    return depthwise_row(taps, finish, planes, count, columns, p_.out_channels, work_ + channel);
  }
  int8_t* const d = expansion_ + expansion_bytes_of(unit_);
  depthwise_row(taps, finish, planes, count, columns, count, d);
  const int32_t rounding = unit_.sums ? kAnyRounding : unit_.project->finish.rounding;
  widen(d, count, columns, count, channel / 4,
        doubles_rows(product_of(projection_), rounding, columns), reinterpret_cast<int16_t*>(work_));
}

void SweptRows::project(int32_t columns, const int8_t* residual, int32_t position, void* y) {
  widened_row_ = kNoRow;  // that memory is written
  if (widens()) {
    return project_widened(projection_, reinterpret_cast<int16_t*>(work_), columns, expansion_, residual,
                           position, y);
  }
  split_kernels::project(projection_, work_, columns, columns_, expansion_, residual, position, y);
}

}  // namespace split_kernels
