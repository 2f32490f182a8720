#include "tests/libfuzzer/fuzz_board.h"

#include "devices/block/open_image.h"
#include "tests/devices/memory_file.h"

namespace dragoman {
namespace {

constexpr u64 kRam = 4 * kMiB;
constexpr u64 kDisk = 64 * kKiB;
constexpr u64 kLowRam = 64 * kKiB;  // where operations put descriptors and data for DMA

std::shared_ptr<BlockImage> disk() {
  ImageOptions options;
  options.format = ImageFormat::kRaw;
  return open_image(std::make_unique<MemoryFile>(std::vector<u8>(kDisk, 0x5a)), options).take();
}

/// The smallest multiboot kernel: with one, the board starts with its PCI devices set up.
Bytes halting_kernel() {
  Bytes image(0x1000, 0xf4);
  const u32 header[] = {0x1badb002, 0x10000,  0u - 0x1badb002 - 0x10000,
                        0x100000,   0x100000, 0x101000,
                        0x101000,   0x100040};
  std::memcpy(image.data(), header, sizeof(header));
  return image;
}

/// Made once: finding out what the host offers takes longer than many inputs.
const CpuModel& model() {
  static const CpuModel kModel = parse_cpu_model("max").take();
  return kModel;
}

}  // namespace

void FuzzBackend::give(std::span<const u8> bytes) {
  if (receiver_ == nullptr) return;
  const unsigned room = receiver_->can_receive();
  receiver_->receive(bytes.first(std::min<std::size_t>(room, bytes.size())));
}

FuzzBoard::FuzzBoard() {
  FUZZ_CHECK(log_.open("/dev/null").ok());
  config_.cpu = model();
  config_.ram_bytes = kRam;
  config_.icount_shift = 0;
  config_.kernel = std::make_shared<const KernelConfig>(
      KernelConfig{BootModule(halting_kernel(), "").contents, "halt", "", {}, nullptr});
  config_.serial[0] = &backends_[0];
  config_.parallel = &backends_[1];
  config_.debug_console = &backends_[2];
  config_.virtio_consoles = {&backends_[3]};
  config_.virtio_rngs = 1;
  config_.usb_tablet = true;
  config_.pc_testdev = true;
  config_.debug_exit = DebugExitConfig{};
  config_.drives.push_back({DriveInterface::kIde, 0, 0, false, disk(), "", {}});
  config_.drives.push_back({DriveInterface::kIde, 0, 1, false, disk(), "", {}});
  config_.drives.push_back({DriveInterface::kIde, 0, 2, true, disk(), "", {}});
  config_.drives.push_back({DriveInterface::kIde, 0, 3, true, nullptr, "", {}});
  config_.drives.push_back({DriveInterface::kVirtio, 0, 0, false, disk(), "", {}});
  config_.drives.push_back({DriveInterface::kFloppy, 0, 0, false, disk(), "", {}});
  BoardEvents events;
  events.power_off = [] {};
  events.reset = [this] { reset_wanted_ = true; };
  events.debug_exit = [](int) {};
  auto created = PcBoard::create(config_, log_, std::move(events));
  FUZZ_CHECK(created.ok());
  board_ = created.take();
}

void FuzzBoard::reach(std::span<const std::string_view> names) {
  windows_.clear();
  const auto wanted = [&](std::string_view range) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return range.starts_with(name); });
  };
  for (const PortMap::Range& range : board_->cpu().ports().ranges()) {
    if (range.enabled && wanted(range.name)) windows_.push_back({true, range.first, range.count});
  }
  for (const MemoryMap::Section& section : board_->memory_map().sections()) {
    if (section.read_handler == nullptr || !wanted(section.name)) continue;
    windows_.push_back({false, section.first, section.last - section.first + 1});
  }
}

void FuzzBoard::access(FuzzInput& input, bool write) {
  const u8 how = input.byte();
  const unsigned size = 1u << (how & 3);
  bool port;
  u64 address;
  if (windows_.empty()) {
    port = how & 4;
    address = port ? input.number<u16>() : input.number<u32>();
  } else {
    const Window& window = windows_[(how >> 2) % windows_.size()];
    port = window.port;
    const u64 offset =
        window.bytes <= 256 ? input.byte() : input.sized(window.bytes <= 65536 ? 2 : 4);
    address = window.first + offset % window.bytes;
  }
  if (port) {
    const Port at(static_cast<u16>(address));
    const unsigned width = std::min(size, 4u);
    if (write) {
      board_->cpu().ports().write(at, width, static_cast<u32>(input.sized(width)));
    } else {
      (void)board_->cpu().ports().read(at, width);
    }
  } else if (write) {
    board_->memory_map().write(PhysicalAddress(address), size, input.sized(size));
  } else {
    (void)board_->memory_map().read(PhysicalAddress(address), size);
  }
}

void FuzzBoard::advance(u64 nanoseconds) {
  Scheduler& scheduler = board_->scheduler();
  const u64 end = scheduler.now() + nanoseconds;
  // Timers run at their own time, but not without end when they are short.
  for (int i = 0; i < 64 && scheduler.next_deadline() <= end; ++i) {
    (void)board_->clock().skip_to(scheduler.next_deadline());
    scheduler.run_due();
  }
  (void)board_->clock().skip_to(end);
  scheduler.run_due();
}

void FuzzBoard::operate(FuzzInput& input) {
  const u8 what = input.byte();
  LocalInterrupts& interrupts = *board_->cpu().interrupts();
  switch (what % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      access(input, true);
      break;
    case 6:
    case 7:
    case 8:
      access(input, false);
      break;
    case 9:  // something for DMA to find
      for (u64 at = input.number<u16>(); const u8 byte : input.take(1 + input.byte() % 64)) {
        board_->memory().ram()[at++ % kLowRam] = byte;
      }
      break;
    case 10:
      advance(u64{input.byte()} << (input.byte() % 28));
      break;
    case 11:
      (void)interrupts.acknowledge();
      break;
    case 12:
      backends_[(what >> 4) % backends_.size()].give(input.take(1 + input.byte() % 32));
      break;
    case 13: {
      const unsigned key = input.byte() % static_cast<unsigned>(Key::kCount);
      const u8 moved = input.byte();
      board_->keyboard().key(static_cast<Key>(key), what & 0x80);
      board_->mouse().move(static_cast<i8>(moved), static_cast<i8>(moved << 4), what & 0x40);
      board_->mouse().buttons(static_cast<u8>(what >> 4));
      break;
    }
    case 14: {
      const u32 msr = 0x800 + input.byte();
      u64 value = 0;
      if (what & 0x10) (void)interrupts.set_apic_base(u64{input.number<u32>()});
      if (what & 0x20) interrupts.set_tsc_deadline(input.number<u32>());
      if (what & 0x40) (void)interrupts.write_x2apic(msr, input.number<u32>());
      if (what & 0x80) (void)interrupts.read_x2apic(msr, value);
      break;
    }
    default:
      reset_wanted_ = (what & 0xf0) == 0xf0;
      break;
  }
  if (!reset_wanted_) return;
  reset_wanted_ = false;
  FUZZ_CHECK(board_->reset().ok());
}

}  // namespace dragoman
