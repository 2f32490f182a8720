// A directory of the host as a read-only disk with one FAT partition ("-hda fat:DIR").
// Document: Microsoft, FAT32 File System Specification 1.03.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "devices/block_image.h"

namespace dragoman {

/// Makes FAT16 or, when it does not fit, FAT32 out of the regular files and directories below
/// `directory`, with long names. Symbolic links and special files are left out, so that nothing
/// outside of the directory can be seen. Names, sizes and dates are those of this moment; contents
/// are read when the guest reads them. A leading "16:" or "32:" in `directory` chooses the kind.
Result<std::unique_ptr<BlockImage>> open_fat_directory(std::string directory);

}  // namespace dragoman
