// SPDX-License-Identifier: Apache-2.0
// The last unit asks the one before it for the rows that it needs next, that one asks on, and the first
// reads x, or takes the next piece of it. A unit first gets all rows that a row of its result needs, then
// goes over that row: so one working memory serves them all.
#include "split_kernels/chain.h"

#include "chain_layout.h"

namespace split_kernels {
namespace {

// x that comes piece by piece: its newest rows, one behind the other.
class Rolling {
 public:
  Rolling(const ChainParams& chain, int8_t* memory, const RollingRows& source, int32_t* piece)
      : p_(reads(chain.units[0])),
        source_(source),
        memory_(memory),
        piece_rows_(chain.piece_rows),
        is_unsigned_(chain.is_unsigned),
        piece_(piece) {}

  // Until rows [low, high) are there, as far as there are such; those below `low` are let go.
  bool need(int32_t low, int32_t high) {
    while (base_ + count_ < least(high, p_.in_rows)) {
      let_go(low);
      if (!take()) return false;
    }
    return true;
  }
  // What no window reads comes all the same.
  bool finish() {
    while (base_ + count_ < p_.in_rows) {
      base_ += count_, count_ = 0;
      if (!take()) return false;
    }
    return true;
  }
  const int8_t* row(int32_t row) const { return memory_ + (row - base_) * row_bytes(p_); }

 private:
  void let_go(int32_t low) {
    const int32_t gone = low - base_ < count_ ? low - base_ : count_;
    if (gone <= 0) return;
    base_ += gone, count_ -= gone;
    std::memmove(memory_, memory_ + gone * row_bytes(p_),
                 static_cast<size_t>(count_ * row_bytes(p_)));
  }
  bool take() {
    const int32_t rows = least(piece_rows_, p_.in_rows - base_ - count_);
    int8_t* const to = memory_ + count_ * row_bytes(p_);
    const int32_t bytes = rows * row_bytes(p_);
    if (source_.take == nullptr ||
        !source_.take(source_.context, (*piece_)++, to, static_cast<size_t>(bytes))) {
      return false;
    }
    count_ += rows;
    for (int32_t i = 0; is_unsigned_ && i < bytes; ++i) to[i] = static_cast<int8_t>(to[i] ^ -128);
    return true;
  }

  const WindowParams& p_;
  const RollingRows& source_;
  int8_t* memory_;
  int32_t piece_rows_;
  bool is_unsigned_;
  int32_t* piece_;
  int32_t base_ = 0;   // the first row that is there
  int32_t count_ = 0;
};

// One tile.
class Chain {
 public:
  Chain(const ChainParams& chain, const int8_t* x, const void* constants, void* scratch,
        Rolling* rolling)
      : chain_(chain),
        x_(x),
        constants_(static_cast<const int8_t*>(constants)),
        scratch_(static_cast<int8_t*>(scratch)),
        layout_(lay_out(chain)),
        rolling_(rolling) {}

  // Row `row` of unit `number`'s result to `y`; rows come in ascending order, each once.
  bool make(int32_t number, int32_t row, int8_t* y) {
    const ChainUnit& unit = chain_.units[number];
    const WindowParams& p = unit.depthwise.window;
    const int32_t under = row * p.stride_rows - p.pad_top, kept = kept_rows(p);
    const SweptUnit swept = swept_of(unit);
    Maker maker(this, number);
    SweptRows rows(swept, constants_of(unit), unit.columns, scratch_ + unit.kept_at,
                   scratch_ + layout_.rest_at, {&maker, Maker::find});
    for (int32_t i = 0; row == 0 && i < kept; ++i) {
      if (!fetch(number, row, under + i, under + i + 1)) return false;
      rows.begin_with(i);
    }
    if (!fetch(number, row, under + kept, under + reach_rows(p))) return false;
    rows.make(row, added(number, row), 0, y);
    return true;
  }

 private:
  UnitConstants constants_of(const ChainUnit& unit) const {
    const int8_t* end = nullptr;
    return constants_at(constants_ + unit.constants_at, unit.expands ? &unit.expand : nullptr,
                        unit.depthwise.window, unit.project.window, false, &end);
  }

  // Rows [from, stop) of what the depthwise convolution of a unit reads can be made, and what is added to
  // row `row` of its result is there.
  bool fetch(int32_t number, int32_t row, int32_t from, int32_t stop) {
    const ChainUnit& unit = chain_.units[number];
    const WindowParams& p = unit.depthwise.window;
    if (number > 0) {
      for (int32_t at = from < 0 ? 0 : from; at < least(stop, p.in_rows); ++at) {
        if (!make(number - 1, at, row_of(number, at))) return false;
      }
      return true;
    }
    from = from < 0 ? 0 : from, stop = least(stop, p.in_rows);
    if (rolling_ == nullptr || from >= stop) return true;
    int32_t low = from, high = stop;
    if (unit.expands) {
      const WindowParams& e = unit.expand.window;
      low = from * e.stride_rows - e.pad_top;
      high = (stop - 1) * e.stride_rows - e.pad_top + reach_of(e.kernel_rows, e.dilation_rows);
    }
    if (unit.add.present) low = least(low, row + added_row(p));
    return rolling_->need(low, high);
  }

  // Where a row of a unit's x lies that a unit before it makes.
  int8_t* row_of(int32_t number, int32_t row) const {
    const ChainUnit& unit = chain_.units[number];
    return scratch_ + unit.rows_at + row % rows_at_once(unit) * row_bytes(reads(unit));
  }
  const int8_t* x_row(int32_t number, int32_t row) const {
    if (number > 0) return row_of(number, row);
    return rolling_ != nullptr ? rolling_->row(row) : x_ + row * row_bytes(reads(chain_.units[0]));
  }
  const int8_t* added(int32_t number, int32_t row) const {
    const ChainUnit& unit = chain_.units[number];
    const WindowParams& p = unit.depthwise.window;
    if (!unit.add.present) return nullptr;
    return x_row(number, row + added_row(p)) + added_column(p) * reads(unit).in_channels;
  }

  // Finds rows of one unit's x. Where windows have rows, only those under them are there, as if there were
  // no others.
  struct Maker {
    Maker(const Chain* chain, int32_t which) : made(chain), number(which) {
      window = made->chain_.units[number].expand.window;
    }
    static RowOfX find(const void* self, int32_t row) {
      const Maker& maker = *static_cast<const Maker*>(self);
      const WindowParams& e = maker.made->chain_.units[maker.number].expand.window;
      if (!maker.made->chain_.units[maker.number].expands || is_dense(e)) {
        return {&e, maker.made->x_row(maker.number, row), 0};
      }
      const int32_t low = row * e.stride_rows - e.pad_top;
      const int32_t high = low + reach_of(e.kernel_rows, e.dilation_rows);
      const int32_t from = least(low < 0 ? 0 : low, e.in_rows), stop = least(high, e.in_rows);
      maker.window.pad_top = from - low, maker.window.in_rows = stop > from ? stop - from : 0;
      return {&maker.window, maker.made->x_row(maker.number, from), 0};
    }
    const Chain* made;
    int32_t number;
    mutable WindowParams window;
  };

  const ChainParams& chain_;
  const int8_t* x_;
  const int8_t* constants_;
  int8_t* scratch_;
  ChainLayout layout_;
  Rolling* rolling_;
};

// Notes where those of each unit begin.
void find_constants(const ChainParams& chain, const int8_t* data) {
  const int8_t* end = data;
  for (int32_t i = 0; i < chain.count; ++i) {
    ChainUnit& unit = chain.units[i];
    unit.constants_at = static_cast<int32_t>(end - data);
    constants_at(end, unit.expands ? &unit.expand : nullptr, unit.depthwise.window,
                 unit.project.window, false, &end);
  }
}

}  // namespace

bool run_chain(const ChainParams& chain, int8_t* x, const void* constants, void* scratch, int8_t* y,
               const RollingRows& source) {
  int32_t piece = 0;
  const int32_t last = chain.count - 1, columns = whole_columns(chain);
  find_constants(chain, static_cast<const int8_t*>(constants));
  return for_tiles(chain, [&](int32_t from, int32_t) {
    const WindowParams& p = chain.units[last].project.window;
    Rolling rolling(chain, x, source, &piece);
    Chain made(chain, x, constants, scratch, chain.piece_rows > 0 ? &rolling : nullptr);
    for (int32_t row = 0; row < p.out_rows; ++row) {
      if (!made.make(last, row, y + (row * columns + from) * p.out_channels)) return false;
    }
    return chain.piece_rows == 0 || rolling.finish();
  });
}

}  // namespace split_kernels
