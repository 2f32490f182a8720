// A set of CPUID features.
#pragma once

#include <bitset>

#include "cpu/isa/row.h"

namespace dragoman {

class FeatureSet {
 public:
  /// Every feature Dragoman knows.
  static FeatureSet all() {
    FeatureSet set;
    set.bits_.set();
    return set;
  }
  bool has(Feature feature) const {
    return feature == Feature::kBase || bits_[static_cast<std::size_t>(feature)];
  }
  FeatureSet& add(Feature feature) {
    bits_.set(static_cast<std::size_t>(feature));
    return *this;
  }
  FeatureSet& remove(Feature feature) {
    bits_.reset(static_cast<std::size_t>(feature));
    return *this;
  }
  bool operator==(const FeatureSet&) const = default;

 private:
  std::bitset<static_cast<std::size_t>(Feature::kCount)> bits_;
};

}  // namespace dragoman
