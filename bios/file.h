// Reading a whole host file.
#pragma once

#include <string>

#include "base/result.h"
#include "bios/bytes.h"

namespace dragoman {

/// All bytes of the file `path`, which serves as `purpose` ("firmware image", "kernel", ...).
/// Missing, unreadable, empty and larger than `max_bytes` files are errors.
Result<Bytes> read_whole_file(const std::string& path, const std::string& purpose, u64 max_bytes);

}  // namespace dragoman
