// SPDX-License-Identifier: Apache-2.0
// The options of tflsplit's operators: the tables of docs/custom_ops.md, checked once in Prepare.
// The same tables are SCHEMAS in rewriter/tflsplit/wire/custom_ops.py; a test compares the two.
#ifndef SPLIT_DEVICE_OP_OPTIONS_H_
#define SPLIT_DEVICE_OP_OPTIONS_H_

#include "split_device/flex_map.h"

namespace split_device {

inline constexpr int64_t kOptionsVersion = 1;        // of ASK, PARTIAL_SUM, CHAIN, ADD, MEAN, POOL_2D
inline constexpr int64_t kSendOptionsVersion = 2;
inline constexpr int64_t kRecvOptionsVersion = 3;
inline constexpr int64_t kPackedOptionsVersion = 2;  // of the compute operators
inline constexpr int64_t kBlockOptionsVersion = 3;   // of FUSED_BLOCK

enum class OptionKind : uint8_t { kInteger, kIntegers, kText };

struct OptionField {
  const char* key;
  OptionKind kind;
  int32_t minimum;  // of the integer, or of every element
  int32_t maximum;
  int8_t count;  // of the elements; -1: any
};

struct OptionTable {
  const char* op;
  int64_t version;
  const OptionField* fields;  // without "v"
  uint8_t count;
};

extern const OptionTable kSendOptions;
extern const OptionTable kRecvOptions;
extern const OptionTable kAskOptions;
extern const OptionTable kConv2dOptions;
extern const OptionTable kDepthwiseConv2dOptions;
extern const OptionTable kPartialConv2dOptions;
extern const OptionTable kPartialFullyConnectedOptions;
extern const OptionTable kPartialSumOptions;
extern const OptionTable kRequantizeOptions;
extern const OptionTable kFusedBlockOptions;
extern const OptionTable kChainOptions;
extern const OptionTable kAddOptions;
extern const OptionTable kMeanOptions;
extern const OptionTable kPool2dOptions;

// What is wrong: "option 'pads'", "is missing". Null text: nothing.
struct Problem {
  const char* key = nullptr;   // of the option; null: the whole
  const char* text = nullptr;  // null: no problem
  bool found() const { return text != nullptr; }
};

// Opens the options and checks every one of them: version, none missing, none unknown, kinds,
// ranges, counts. After that, readers need not look at what they are told.
Problem open_options(const void* bytes, size_t size, const OptionTable& table, FlexMap* map);

// For options that open_options() has passed.
int32_t integer_option(const FlexMap& map, const char* key);
IntVector integers_option(const FlexMap& map, const char* key);
Text text_option(const FlexMap& map, const char* key);

}  // namespace split_device

#endif  // SPLIT_DEVICE_OP_OPTIONS_H_
