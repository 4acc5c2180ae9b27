// SPDX-License-Identifier: Apache-2.0
// TFLM's resolver for TFLM's operators. Of ours it keeps where their registrations lie, in flash: a copy of
// each would take 36 bytes of RAM.
#ifndef SPLIT_TFLM_RESOLVER_H_
#define SPLIT_TFLM_RESOLVER_H_

#include <cstring>

#include "split_tflm/registrations.h"

namespace split_tflm {

// Room for so many operators of TFLM's and of ours; one at least of each, since C++ has no empty arrays.
template <unsigned kStock, unsigned kOwn>
class Resolver : public api::MicroMutableOpResolver<kStock> {
  using Stock = api::MicroMutableOpResolver<kStock>;

 public:
  using Stock::FindOp;
  const api::Registration* FindOp(const char* name) const override {
    for (unsigned i = 0; i < count_; ++i) {
      if (std::strcmp(own_[i]->custom_name, name) == 0) return own_[i];
    }
    return nullptr;
  }

  // As TFLM's. The registration has the name already.
  api::Status AddCustom(const char* name, api::Registered* registration) {
    if (count_ == kOwn || FindOp(name) != nullptr) return api::kError;
    own_[count_++] = registration;
    return api::kOk;
  }

 private:
  const api::Registration* own_[kOwn] = {};
  unsigned count_ = 0;
};

}  // namespace split_tflm

#endif  // SPLIT_TFLM_RESOLVER_H_
