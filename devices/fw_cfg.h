// QEMU firmware configuration device (fw_cfg), I/O port form with DMA.
// QEMU, docs/specs/fw_cfg: selector 510h, data 511h, DMA address 514h..51Bh.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "devices/device.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

struct FwCfgState {
  u64 dma_address = 0;  ///< as collected from the two halves of the DMA register
  u32 offset = 0;       ///< next byte of the selected item
  u16 selector = 0;
  u16 unused = 0;
  static constexpr auto fields() {
    return std::tuple{
        Field{"dma_address", &FwCfgState::dma_address}, Field{"offset", &FwCfgState::offset},
        Field{"selector", &FwCfgState::selector}, Field{"unused", &FwCfgState::unused}};
  }
};

/// Items named by 16-bit keys; files are items that are also listed, with a name, in the file
/// directory (key 19h).
class FwCfg final : public StatefulDevice<FwCfgState>, public PortHandler {
 public:
  /// Port banks: kSelectorBank is 2 ports at 510h (widest 2), kDmaBank 8 ports at 514h (widest 4).
  static constexpr unsigned kSelectorBank = 0;
  static constexpr unsigned kDmaBank = 1;

  static constexpr u16 kKeySignature = 0x00;
  static constexpr u16 kKeyId = 0x01;
  static constexpr u16 kKeyUuid = 0x02;
  static constexpr u16 kKeyRamSize = 0x03;
  static constexpr u16 kKeyNoGraphic = 0x04;
  static constexpr u16 kKeyCpuCount = 0x05;
  static constexpr u16 kKeyBootMenu = 0x0e;
  static constexpr u16 kKeyMaxCpus = 0x0f;
  static constexpr u16 kKeyFileDirectory = 0x19;
  static constexpr u16 kFirstFile = 0x20;
  static constexpr u16 kArchitectureLocal = 0x8000;  ///< bit 15: keys of the x86 PC only
  static constexpr u16 kWriteChannel = 0x4000;       ///< bit 14 of the selector, not of a key
  static constexpr std::size_t kMaxNameLength = 55;

  /// Told about bytes the guest has written to a writable file.
  using Written = std::function<void(u64 offset, std::span<const u8> bytes)>;

  /// `dma` is where DMA descriptors and buffers live.
  FwCfg(std::string name, MemoryMap& dma);

  /// Sets the contents of a numbered item. Keys of files and of the directory are refused.
  Result<void> add_key(u16 key, std::vector<u8> bytes);
  /// Adds a file, or replaces the contents of the file of that name.
  Result<void> add_file(std::string_view file_name, std::vector<u8> bytes);
  /// A file the guest may overwrite, but not enlarge. Its contents are part of the saved state.
  Result<void> add_writable_file(std::string_view file_name, std::vector<u8> bytes,
                                 Written written);
  /// Contents of a file, or an empty span.
  std::span<const u8> file(std::string_view file_name) const;

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

  void save(std::vector<u8>& out) const override;
  Result<void> load(std::span<const u8>& in) override;

 private:
  struct Item {
    std::vector<u8> bytes;
    bool writable = false;
    Written written;
  };
  Item* selected();
  void select(u16 selector);
  void rebuild_directory();
  void run_dma(u64 descriptor);
  bool dma_to_guest(u64 address, u64 length);
  bool dma_from_guest(u64 address, u64 length);
  bool all_ram(u64 address, u64 length, bool for_writing) const;

  MemoryMap& dma_;
  std::map<u16, Item> items_;
  std::vector<std::string> file_names_;  // in key order from kFirstFile
};

}  // namespace dragoman
