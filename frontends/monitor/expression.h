// Numbers as people write them for debuggers: 0x7c00, 1024, $cs_base + $sp, (2+3)*4.
#pragma once

#include <string_view>

#include "base/result.h"
#include "cpu/cpu.h"

namespace dragoman {

/// Evaluates an expression of + - * / % & | ^ ~ ( ), numbers, and registers behind $.
Result<u64> evaluate(std::string_view text, const Cpu& cpu);

}  // namespace dragoman
