// SPDX-License-Identifier: Apache-2.0
#include "split_device/op_options.h"

#include <cstring>

namespace split_device {
namespace {

constexpr int32_t kMost = INT32_MAX;
constexpr int32_t kMostChannel = 65534;  // 65535 is "no channel"
constexpr int32_t kMostRank = 254;       // 255 is "no rank"
constexpr OptionKind kOne = OptionKind::kInteger;
constexpr OptionKind kMany = OptionKind::kIntegers;
constexpr OptionKind kWords = OptionKind::kText;

constexpr OptionField kSend[] = {
    {"channel", kOne, 0, kMostChannel, -1}, {"to", kMany, 0, kMostRank, -1},
    {"tensor", kWords, 0, 0, -1},           {"boxes", kMany, 0, kMost, -1},
    {"origin", kMany, 0, kMost, -1},
};
constexpr OptionField kRecv[] = {
    {"tensor", kWords, 0, 0, -1},           {"origin", kMany, 0, kMost, -1},
    {"local", kMany, 0, kMost, -1},         {"local_origin", kMany, 0, kMost, -1},
    {"channels", kMany, 0, kMostChannel, -1}, {"from", kMany, 0, kMostRank, -1},
    {"boxes", kMany, 0, kMost, -1},         {"sum", kOne, 0, 1, -1},
    {"early", kOne, 0, 2, -1},
};
constexpr OptionField kAsk[] = {
    {"tensor", kWords, 0, 0, -1},     {"channels", kMany, 0, kMostChannel, -1},
    {"from", kMany, 0, kMostRank, -1}, {"bytes", kMany, 1, kMost, -1},
};
// What operators share lies side by side, so that one list serves four of them.
constexpr OptionField kConv[] = {
    {"stride", kMany, 1, kMost, 2},  {"dilation", kMany, 1, kMost, 2},
    {"pads", kMany, 0, kMost, 4},    {"kernel", kMany, 1, kMost, 2},
    {"activation", kMany, -128, 127, 2}, {"rounding", kOne, 0, 2, -1},
    {"groups", kOne, 1, kMost, -1},
};
constexpr OptionField kPartialSum[] = {{"axes", kMany, 0, 8, 2}};
constexpr OptionField kFusedBlock[] = {
    {"expand", kMany, INT32_MIN, kMost, -1}, {"depthwise", kMany, INT32_MIN, kMost, 16},
    {"activation", kMany, -128, 127, 2},     {"rounding", kOne, 0, 2, -1},
    {"sum", kOne, 0, 1, -1},                 {"tile_columns", kOne, 0, kMost, -1},
    {"add", kMany, INT32_MIN, kMost, -1},    {"first_expand", kMany, INT32_MIN, kMost, -1},
    {"first_depthwise", kMany, INT32_MIN, kMost, -1},
    {"first_project", kMany, INT32_MIN, kMost, -1},
    {"window_columns", kOne, 0, kMost, -1},
};

constexpr OptionField kChain[] = {
    {"units", kMany, INT32_MIN, kMost, -1}, {"window_columns", kOne, 1, kMost, -1},
    {"tile_columns", kOne, 0, kMost, -1},   {"rolling", kMany, 1, kMost, -1},
};
constexpr OptionField kAdd[] = {
    {"activation", kMany, -128, 127, 2}, {"scaling", kMany, INT32_MIN, kMost, 7},
};
constexpr OptionField kMean[] = {
    {"axes", kMany, 0, 8, 2}, {"scaling", kMany, INT32_MIN, kMost, 2},
};
constexpr OptionField kPool[] = {
    {"kernel", kMany, 1, kMost, 2},      {"stride", kMany, 1, kMost, 2}, {"pads", kMany, 0, kMost, 4},
    {"activation", kMany, -128, 127, 2}, {"maximum", kOne, 0, 1, -1},
};

Problem check_field(const FlexMap& map, const OptionField& field) {
  if (!map.has(field.key)) return {field.key, "is missing"};
  if (field.kind == OptionKind::kText) {
    Text text;
    return {field.key, map.text(field.key, &text) ? nullptr : "is not a string"};
  }
  if (field.kind == OptionKind::kInteger) {
    int64_t value = 0;
    if (!map.integer(field.key, &value)) return {field.key, "is not an integer"};
    const bool fits = value >= field.minimum && value <= field.maximum;
    return {field.key, fits ? nullptr : "is out of range"};
  }
  IntVector values;
  if (!map.integers(field.key, &values)) return {field.key, "is not a vector of integers"};
  if (field.count >= 0 && values.size() != static_cast<uint32_t>(field.count)) {
    return {field.key, "has another number of elements"};
  }
  for (uint32_t i = 0; i < values.size(); ++i) {
    if (values[i] < field.minimum || values[i] > field.maximum) {
      return {field.key, "has an element out of range"};
    }
  }
  return {};
}

bool knows(const OptionTable& table, const char* key) {
  if (std::strcmp(key, "v") == 0) return true;
  for (uint8_t i = 0; i < table.count; ++i) {
    if (std::strcmp(key, table.fields[i].key) == 0) return true;
  }
  return false;
}

}  // namespace

const OptionTable kSendOptions = {"SEND", kSendOptionsVersion, kSend, 5};
const OptionTable kRecvOptions = {"RECV", kRecvOptionsVersion, kRecv, 9};
const OptionTable kAskOptions = {"ASK", kOptionsVersion, kAsk, 4};
const OptionTable kConv2dOptions = {"CONV_2D", kPackedOptionsVersion, kConv, 7};
const OptionTable kDepthwiseConv2dOptions = {"DEPTHWISE_CONV_2D", kPackedOptionsVersion, kConv,
                                             6};
const OptionTable kPartialConv2dOptions = {"PARTIAL_CONV_2D", kPackedOptionsVersion, kConv, 4};
const OptionTable kPartialFullyConnectedOptions = {"PARTIAL_FULLY_CONNECTED", kPackedOptionsVersion,
                                                   nullptr, 0};
const OptionTable kPartialSumOptions = {"PARTIAL_SUM", kOptionsVersion, kPartialSum, 1};
const OptionTable kRequantizeOptions = {"REQUANTIZE", kPackedOptionsVersion, kConv + 4, 2};
const OptionTable kFusedBlockOptions = {"FUSED_BLOCK", kBlockOptionsVersion, kFusedBlock, 11};
const OptionTable kChainOptions = {"CHAIN", kOptionsVersion, kChain, 4};
const OptionTable kAddOptions = {"ADD", kOptionsVersion, kAdd, 2};
const OptionTable kMeanOptions = {"MEAN", kOptionsVersion, kMean, 2};
const OptionTable kPool2dOptions = {"POOL_2D", kOptionsVersion, kPool, 5};

Problem open_options(const void* bytes, size_t size, const OptionTable& table, FlexMap* map) {
  if (!FlexMap::open(bytes, size, map)) return {nullptr, "the custom options are no FlexBuffer map"};
  int64_t version = 0;
  if (!map->integer("v", &version)) return {"v", "is missing"};
  if (version != table.version) return {"v", "is of a version that this firmware does not read"};
  for (uint32_t i = 0; i < map->size(); ++i) {
    const char* const key = map->key(i);
    if (key == nullptr) return {nullptr, "a key of the custom options is damaged"};
    if (!knows(table, key)) return {key, "is not known"};
  }
  for (uint8_t i = 0; i < table.count; ++i) {
    const Problem problem = check_field(*map, table.fields[i]);
    if (problem.found()) return problem;
  }
  return {};
}

int32_t integer_option(const FlexMap& map, const char* key) {
  int64_t value = 0;
  map.integer(key, &value);
  return static_cast<int32_t>(value);
}

IntVector integers_option(const FlexMap& map, const char* key) {
  IntVector values;
  map.integers(key, &values);
  return values;
}

Text text_option(const FlexMap& map, const char* key) {
  Text value;
  map.text(key, &value);
  return value;
}

}  // namespace split_device
