// Kernels, and what they are given beside themselves: an initial RAM disk or multiboot modules.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "bios/bytes.h"

namespace dragoman {

/// Contents of a module. They are asked for at every start of the machine and not kept in between:
/// an initial RAM disk is as large as what is left of small machines' RAM.
class ModuleContents {
 public:
  virtual ~ModuleContents() = default;
  virtual u64 size() const = 0;
  /// Fills `to`, which has size() bytes. An error when the file has changed its size or cannot be
  /// read.
  virtual Result<void> read(std::span<u8> to) const = 0;
  /// All of it.
  Result<Bytes> read_all() const;
};

/// An initial RAM disk or multiboot module.
struct BootModule {
  BootModule() : BootModule(Bytes(), "") {}
  BootModule(std::shared_ptr<const ModuleContents> data, std::string arguments)
      : contents(std::move(data)), command_line(std::move(arguments)) {}
  /// Of bytes that are there.
  BootModule(Bytes bytes, std::string arguments);

  std::shared_ptr<const ModuleContents> contents;  ///< never null
  std::string command_line;
};

/// The file at `path`, which stays open. Errors name it as the `purpose` it is for. What is no
/// regular file (a pipe) is read at once.
Result<std::shared_ptr<const ModuleContents>> module_of_file(const std::string& path,
                                                             const std::string& purpose,
                                                             u64 max_bytes);

}  // namespace dragoman
