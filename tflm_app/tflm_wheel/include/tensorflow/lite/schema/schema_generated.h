// SPDX-License-Identifier: Apache-2.0
// Reads what the firmware looks up in a .tflite file. The field numbers are the schema's, the layout
// of tables and vectors is FlatBuffers' (flatbuffers.dev, "FlatBuffer Internals"): a table begins
// with the distance back to its table of offsets, and that with its own size in bytes, the table's
// and the fields' offsets.
#ifndef TFLM_WHEEL_SCHEMA_GENERATED_H_
#define TFLM_WHEEL_SCHEMA_GENERATED_H_

#include <cstdint>
#include <cstring>

namespace tflite {

// Opcodes of the file; their names are not needed.
enum BuiltinOperator : int32_t { BuiltinOperator_CUSTOM = 32 };

namespace tflm_wheel {

template <typename Number>
Number load(const uint8_t* from) {
  Number number;
  std::memcpy(&number, from, sizeof number);
  return number;
}

// What an offset stored there refers to.
inline const uint8_t* follow(const uint8_t* offset) { return offset + load<uint32_t>(offset); }

// A vector of `Item`s: numbers, or offsets of tables.
template <typename Item>
class Vector {
 public:
  uint32_t size() const { return load<uint32_t>(bytes()); }
  const uint8_t* data() const { return bytes() + sizeof(uint32_t); }
  const Item* Get(uint32_t index) const {
    return reinterpret_cast<const Item*>(follow(data() + index * sizeof(uint32_t)));
  }
  const char* c_str() const { return reinterpret_cast<const char*>(data()); }

 private:
  const uint8_t* bytes() const { return reinterpret_cast<const uint8_t*>(this); }
};
using String = Vector<char>;

class Table {
 protected:
  template <typename Number>
  Number number(int field, Number otherwise) const {
    const uint8_t* const at = find(field);
    return at == nullptr ? otherwise : load<Number>(at);
  }
  template <typename Thing>
  const Thing* thing(int field) const {
    const uint8_t* const at = find(field);
    return at == nullptr ? nullptr : reinterpret_cast<const Thing*>(follow(at));
  }

 private:
  const uint8_t* find(int field) const {
    const auto* const table = reinterpret_cast<const uint8_t*>(this);
    const uint8_t* const offsets = table - load<int32_t>(table);
    const int place = 4 + 2 * field;
    if (place >= load<uint16_t>(offsets)) return nullptr;
    const uint16_t offset = load<uint16_t>(offsets + place);
    return offset == 0 ? nullptr : table + offset;
  }
};

}  // namespace tflm_wheel

struct Buffer : tflm_wheel::Table {
  const tflm_wheel::Vector<uint8_t>* data() const { return thing<tflm_wheel::Vector<uint8_t>>(0); }
};

struct Metadata : tflm_wheel::Table {
  const tflm_wheel::String* name() const { return thing<tflm_wheel::String>(0); }
  uint32_t buffer() const { return number<uint32_t>(1, 0); }
};

struct SubGraph : tflm_wheel::Table {
  const tflm_wheel::Vector<int32_t>* inputs() const { return thing<tflm_wheel::Vector<int32_t>>(1); }
  const tflm_wheel::Vector<int32_t>* outputs() const { return thing<tflm_wheel::Vector<int32_t>>(2); }
};

struct Model : tflm_wheel::Table {
  uint32_t version() const { return number<uint32_t>(0, 0); }
  const tflm_wheel::Vector<SubGraph>* subgraphs() const {
    return thing<tflm_wheel::Vector<SubGraph>>(2);
  }
  const tflm_wheel::Vector<Buffer>* buffers() const { return thing<tflm_wheel::Vector<Buffer>>(4); }
  const tflm_wheel::Vector<Metadata>* metadata() const {
    return thing<tflm_wheel::Vector<Metadata>>(6);
  }
};

inline const Model* GetModel(const void* file) {
  return reinterpret_cast<const Model*>(tflm_wheel::follow(static_cast<const uint8_t*>(file)));
}

}  // namespace tflite

#endif  // TFLM_WHEEL_SCHEMA_GENERATED_H_
