// The guest-physical address space: ranges of RAM, ROM and memory-mapped registers, layered by
// priority and flattened into sorted sections.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/log.h"
#include "base/types.h"
#include "memory/guest_memory.h"

namespace dragoman {

/// Registers in physical address space. A device sees offsets into its range and the `bank`
/// number it gave when mapping (to tell several ranges apart), never addresses.
class MmioHandler {
 public:
  virtual ~MmioHandler() = default;
  /// `size` is 1, 2, 4 or 8 bytes; an access never crosses the end of the range, but may be
  /// unaligned and of any of these sizes: the device decides what that means.
  virtual u64 mmio_read(unsigned bank, u64 offset, unsigned size) = 0;
  virtual void mmio_write(unsigned bank, u64 offset, unsigned size, u64 value) = 0;
};

using RangeId = u32;

/// Layered map. Higher priority hides lower; between equals the one added later wins.
class MemoryMap {
 public:
  /// Customary priorities.
  enum Priority : int {
    kPriorityRam = 0,
    kPriorityRom = 5,
    kPriorityDevice = 10,
    kPriorityShadow = 20,  // PAM and SMRAM redirections
  };

  MemoryMap(GuestMemory& memory, Log& log);

  /// Shows `bytes` of pool memory at `first`. A range takes part in reads and writes separately:
  /// {true,false} with nothing below is a ROM, {true,true} is RAM.
  RangeId add_memory(std::string name, PhysicalAddress first, u64 bytes, u8* host, bool readable,
                     bool writable, int priority);
  /// Shows registers at `first`. Disabled until enabled when `enabled` is false.
  RangeId add_mmio(std::string name, PhysicalAddress first, u64 bytes, MmioHandler& handler,
                   unsigned bank, int priority = kPriorityDevice, bool enabled = true);
  void set_enabled(RangeId range, bool enabled);
  /// Moves a range (a PCI BAR, for example) to another address.
  void move(RangeId range, PhysicalAddress first);
  void set_access(RangeId range, bool readable, bool writable);

  /// What backs the page at `address` right now. Null pointers mean "not directly accessible":
  /// registers, nothing, or a page shared between ranges; use read() and write() then.
  struct PageView {
    u8* read = nullptr;   ///< host address of the page for reads and instruction fetch
    u8* write = nullptr;  ///< host address of the page for writes
  };
  PageView page(PhysicalAddress address) const;

  /// CPU accesses of 1, 2, 4 or 8 bytes through whatever is mapped. Unmapped reads give all ones,
  /// unmapped writes are dropped; both are told to `-d guest_errors`.
  u64 read(PhysicalAddress address, unsigned size);
  void write(PhysicalAddress address, unsigned size, u64 value);

  /// DMA and debugger accesses of any length: RAM and ROM copied, registers accessed in the
  /// widest aligned pieces.
  void read_bytes(PhysicalAddress address, std::span<u8> out);
  void write_bytes(PhysicalAddress address, std::span<const u8> in);

  /// Fixed-width little-endian conveniences for DMA descriptors.
  template <class T>
  T load(PhysicalAddress address) {
    T value{};
    read_bytes(address, {reinterpret_cast<u8*>(&value), sizeof(T)});
    return value;
  }
  template <class T>
  void store(PhysicalAddress address, T value) {
    write_bytes(address, {reinterpret_cast<const u8*>(&value), sizeof(T)});
  }

  /// Changes whenever the layout changes; caches of PageView compare it.
  u64 generation() const { return generation_; }
  GuestMemory& memory() { return memory_; }
  Log& log() { return log_; }

  /// One flattened piece of the address space, for `info mtree` and the tests.
  struct Section {
    u64 first = 0;
    u64 last = 0;        // inclusive
    u8* read = nullptr;  // host address of `first` for reads
    u8* write = nullptr;
    MmioHandler* read_handler = nullptr;
    MmioHandler* write_handler = nullptr;
    unsigned read_bank = 0;
    unsigned write_bank = 0;
    u64 read_offset = 0;  // offset of `first` in the handler's range
    u64 write_offset = 0;
    std::string name;  // of the range that serves reads
  };
  const std::vector<Section>& sections() const { return sections_; }

 private:
  struct Range {
    std::string name;
    u64 first;
    u64 bytes;
    u8* host;
    MmioHandler* handler;
    unsigned bank;
    int priority;
    bool enabled;
    bool readable;
    bool writable;
  };
  void rebuild();
  const Section* find(u64 address) const;

  GuestMemory& memory_;
  Log& log_;
  std::vector<Range> ranges_;
  std::vector<Section> sections_;
  mutable std::size_t last_found_ = 0;  // most accesses hit the section of the one before
  u64 generation_ = 1;
};

}  // namespace dragoman
