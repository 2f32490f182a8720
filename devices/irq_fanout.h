// One output wired to several interrupt inputs.
#pragma once

#include <utility>
#include <vector>

#include "base/irq_line.h"

namespace dragoman {

/// Passes its level on to every line, in order. Stateless: the receivers keep levels.
class IrqFanout : public IrqSink {
 public:
  explicit IrqFanout(std::vector<IrqLine> lines) : lines_(std::move(lines)) {}
  void set_irq(unsigned /*pin*/, bool level) override {
    for (const IrqLine& line : lines_) line.set(level);
  }

 private:
  std::vector<IrqLine> lines_;
};

}  // namespace dragoman
