#include "devices/ahci/ahci_port.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/bits.h"

namespace dragoman {
namespace {

// Port registers (AHCI 1.3.1, 3.3).
enum Register : u32 {
  kClb = 0x00,
  kClbu = 0x04,
  kFb = 0x08,
  kFbu = 0x0c,
  kIs = 0x10,
  kIe = 0x14,
  kCmd = 0x18,
  kTfd = 0x20,
  kSig = 0x24,
  kSsts = 0x28,
  kSctl = 0x2c,
  kSerr = 0x30,
  kSact = 0x34,
  kCi = 0x38,
};

// PxIS (3.3.5).
constexpr u32 kRegisterFisInterrupt = 1 << 0;
constexpr u32 kPioSetupInterrupt = 1 << 1;
constexpr u32 kDmaSetupInterrupt = 1 << 2;
constexpr u32 kDeviceBitsInterrupt = 1 << 3;
constexpr u32 kDescriptorProcessed = 1 << 5;
constexpr u32 kConnectChange = 1 << 6;    // mirrors PxSERR.DIAG.X
constexpr u32 kPhyReadyChange = 1 << 22;  // mirrors PxSERR.DIAG.N
constexpr u32 kOverflow = 1 << 24;
constexpr u32 kInterfaceFatal = 1 << 27;
constexpr u32 kTaskFileError = 1 << 30;
constexpr u32 kClearable = 0x7d80002f;
constexpr u32 kEnableBits = 0x7dc0007f;

// PxCMD (3.3.7).
constexpr u32 kSt = 1 << 0;
constexpr u32 kSud = 1 << 1;
constexpr u32 kPod = 1 << 2;
constexpr u32 kClo = 1 << 3;
constexpr u32 kFre = 1 << 4;
constexpr u32 kFr = 1 << 14;
constexpr u32 kCr = 1 << 15;
constexpr u32 kStored = kSt | kFre | 0x0f000000;  // with ATAPI, DLAE, ALPE and ASP

// PxSERR (3.3.12).
constexpr u32 kDiagPhyReady = 1 << 16;
constexpr u32 kDiagExchanged = 1 << 26;

// PxSCTL and PxSSTS (3.3.10, 3.3.11).
constexpr u32 kDet = 0x0f;
constexpr u32 kDetReset = 1;
constexpr u32 kDetOffline = 4;

// Command header (4.2.2).
constexpr u32 kHeaderBytes = 32;
constexpr u32 kAtapi = 1 << 5;
constexpr u32 kClearBusy = 1 << 10;

// Command table (4.2.3).
constexpr u64 kPacketOffset = 0x40;
constexpr u64 kRegionOffset = 0x80;
constexpr u32 kRegionBytes = 16;

// Received FIS structure (4.2.1) and FIS types.
constexpr u64 kDmaSetupOffset = 0x00;
constexpr u64 kPioSetupOffset = 0x20;
constexpr u64 kRegisterOffset = 0x40;
constexpr u64 kDeviceBitsOffset = 0x58;
constexpr u8 kHostToDevice = 0x27;
constexpr u8 kDeviceToHost = 0x34;
constexpr u8 kDmaSetup = 0x41;
constexpr u8 kPioSetup = 0x5f;
constexpr u8 kSetDeviceBits = 0xa1;
constexpr u8 kFisInterrupt = 0x40;
constexpr u8 kFisToHost = 0x20;
constexpr u8 kFisCommand = 0x80;

constexpr u8 kSoftwareReset = 0x04;  // device control
constexpr u32 kFisDwords = 5;

void merge(u32& target, u32 value, u32 mask) { target = (target & ~mask) | (value & mask); }
void merge(u64& target, unsigned half, u32 value, u32 mask) {
  const u64 wide = u64{mask} << (32 * half);
  target = (target & ~wide) | ((u64{value} << (32 * half)) & wide);
}

}  // namespace

AhciPort::AhciPort(std::string name, AhciPortState& state, AhciHost& host, Log& log)
    : name_(std::move(name)), state_(state), host_(host), log_(log) {}

// --- Registers ---

u32 AhciPort::interrupt_status() const {
  return state_.interrupts | (state_.link_error & kDiagExchanged ? kConnectChange : 0) |
         (state_.link_error & kDiagPhyReady ? kPhyReadyChange : 0);
}

u32 AhciPort::command_register() const {
  u32 value = state_.command | kSud | kPod;
  if (state_.command & kFre) value |= kFr;
  if (state_.command & kSt) value |= kCr;
  if (state_.busy || state_.halted) value |= u32{state_.slot} << 8;
  return value;
}

u32 AhciPort::read(u32 offset) const {
  switch (offset) {
    case kClb:
      return static_cast<u32>(state_.command_list);
    case kClbu:
      return static_cast<u32>(state_.command_list >> 32);
    case kFb:
      return static_cast<u32>(state_.received_fis);
    case kFbu:
      return static_cast<u32>(state_.received_fis >> 32);
    case kIs:
      return interrupt_status();
    case kIe:
      return state_.interrupt_enable;
    case kCmd:
      return command_register();
    case kTfd:
      return state_.task_file;
    case kSig:
      return state_.signature;
    case kSsts:
      return state_.link_status;
    case kSctl:
      return state_.link_control;
    case kSerr:
      return state_.link_error;
    case kSact:
      return state_.active;
    case kCi:
      return state_.issued;
    default:
      return 0;  // reserved, and what CAP says is not there (PxSNTF, PxFBS)
  }
}

void AhciPort::write(u32 offset, u32 value, u32 mask) {
  switch (offset) {
    case kClb:
      merge(state_.command_list, 0, value & ~u32{0x3ff}, mask);
      break;
    case kClbu:
      merge(state_.command_list, 1, value, mask);
      break;
    case kFb:
      merge(state_.received_fis, 0, value & ~u32{0xff}, mask);
      break;
    case kFbu:
      merge(state_.received_fis, 1, value, mask);
      break;
    case kIs:
      state_.interrupts &= ~(value & mask & kClearable);
      break;
    case kIe:
      merge(state_.interrupt_enable, value & kEnableBits, mask);
      break;
    case kCmd:
      write_command((command_register() & ~mask) | (value & mask));
      break;
    case kSctl:
      write_link_control((state_.link_control & ~mask) | (value & mask));
      break;
    case kSerr:
      state_.link_error &= ~(value & mask);
      break;
    case kSact:
      if (state_.command & kSt) state_.active |= value & mask;
      break;
    case kCi:
      if (state_.command & kSt) state_.issued |= value & mask;
      issue();
      break;
    default:
      break;
  }
  host_.port_interrupt_changed();
}

void AhciPort::write_command(u32 value) {
  const bool started = !(state_.command & kSt) && (value & kSt);
  state_.command = value & kStored;
  if (value & kClo) state_.task_file &= ~u32{kAtaBsy | kAtaDrq};
  if (started) {
    state_.slot = 31;  // so that slot 0 is the first to be looked at
    return issue();
  }
  if (value & kSt) return;
  // 3.3.14, 10.3.2: clearing ST clears PxCI and PxSACT; what the device does goes on without us.
  state_.issued = 0;
  state_.active = 0;
  state_.busy = false;
  state_.halted = false;
}

void AhciPort::write_link_control(u32 value) {
  const u32 before = state_.link_control & kDet;
  const u32 now = value & kDet;
  state_.link_control = value & 0xfff;
  if (now == before) return;
  if (now == kDetReset) {  // COMRESET is sent for as long as software leaves it so
    state_.link_status = 0;
    state_.busy = false;
    state_.awaits_signature = false;
    if (drive_ != nullptr) drive_->begin_reset();
  } else if (now == kDetOffline) {
    state_.link_status = kDetOffline;
  } else if (now == 0) {
    link_up();
  }
}

/// The device answers COMRESET (or power) with COMINIT; its signature follows (AHCI 10.4.2).
void AhciPort::link_up() {
  state_.srst = false;
  if (drive_ == nullptr) {
    state_.link_status = 0;
    return;
  }
  const u32 limit = state_.link_control >> 4 & 0x0f;
  state_.link_status = 0x103 | (limit == 1 ? 0x10 : 0x20);  // active, generation 1 or 2, present
  state_.link_error |= kDiagExchanged | kDiagPhyReady;
  state_.task_file = kAtaBsy;
  state_.awaits_signature = true;
  drive_->end_reset(true, false);
}

void AhciPort::reset(bool all) {
  const IdeDriveState drive = state_.drive;
  AhciPortState fresh;
  fresh.drive = drive;
  if (!all) {  // 10.4.3
    fresh.command_list = state_.command_list;
    fresh.received_fis = state_.received_fis;
  }
  state_ = fresh;
  link_up();
}

void AhciPort::kick() { issue(); }

void AhciPort::restored() {
  state_.slot &= 31;
  state_.command &= kStored;
  if (drive_ == nullptr) {
    state_.busy = false;
    return;
  }
  drive_->restored();
}

// --- Commands ---

bool AhciPort::can_issue() const {
  return (state_.command & kSt) && state_.issued != 0 && !state_.busy && !state_.halted &&
         !(state_.task_file & (kAtaBsy | kAtaDrq)) && drive_ != nullptr && host_.may_master();
}

void AhciPort::issue() {
  for (unsigned n = 0; n < 32 && can_issue(); ++n) {
    // The next slot in turn after the last one.
    const unsigned first = (state_.slot + 1u) & 31;
    const u32 in_turn = std::rotr(state_.issued, static_cast<int>(first));
    const unsigned step = static_cast<unsigned>(std::countr_zero(in_turn));
    start((first + step) & 31);
  }
}

void AhciPort::start(unsigned slot) {
  MemoryMap& memory = host_.memory();
  const PhysicalAddress header(state_.command_list + u64{kHeaderBytes} * slot);
  const u32 options = memory.load<u32>(header);
  state_.table = memory.load<u64>(header + 8) & ~u64{0x7f};
  state_.regions = static_cast<u16>(options >> 16);
  state_.region = 0;
  state_.region_used = 0;
  state_.moved = 0;
  state_.packet = (options & kAtapi) != 0;
  state_.slot = static_cast<u8>(slot);
  std::array<u8, 4 * kFisDwords> fis;
  memory.read_bytes(PhysicalAddress(state_.table), fis);
  if ((options & 0x1f) < kFisDwords || fis[0] != kHostToDevice) {
    log_.write(LogCategory::kGuestErrors, "{}: slot {} holds no register FIS", name_, slot);
    return halt(kInterfaceFatal);
  }
  state_.busy = true;
  state_.task_file |= kAtaBsy;
  if (fis[1] & kFisCommand) return command_fis(fis);
  control_fis(fis[15], (options & kClearBusy) != 0);
}

/// The device control register; only its SRST bit means something to a Serial ATA device.
void AhciPort::control_fis(u8 control, bool clear_busy) {
  const bool srst = (control & kSoftwareReset) != 0;
  if (clear_busy) {
    state_.busy = false;
    state_.issued &= ~(u32{1} << state_.slot);
    state_.task_file &= ~u32{kAtaBsy};
  }
  if (srst == state_.srst) return;
  state_.srst = srst;
  if (srst) return drive_->begin_reset();
  state_.awaits_signature = true;
  drive_->end_reset(false, false);
}

void AhciPort::command_fis(std::span<const u8> fis) {
  constexpr u8 kDiagnostic = 0x90;
  const auto pair = [&](IdeRegister reg, unsigned older, unsigned newer) {
    drive_->write_register(reg, fis[older]);
    drive_->write_register(reg, fis[newer]);
  };
  pair(IdeRegister::kFeatures, 11, 3);
  pair(IdeRegister::kCount, 13, 12);
  pair(IdeRegister::kLbaLow, 8, 4);
  pair(IdeRegister::kLbaMid, 9, 5);
  pair(IdeRegister::kLbaHigh, 10, 6);
  drive_->write_register(IdeRegister::kDevice, fis[7]);
  const u8 command = fis[2];
  state_.queued = command == 0x60 || command == 0x61;
  if (command == kDiagnostic) return drive_->end_reset(false, true);
  drive_->write_command(command);
  if (drive_->status() & kAtaBsy) return;  // busy_ended() follows
  if (state_.queued) return end_command();
  if (drive_->offers_block()) continue_command();
}

void AhciPort::busy_ended() {
  if (!host_.enter()) return;
  if (state_.awaits_signature) {
    state_.awaits_signature = false;
    state_.signature = u32{drive_->read_register(IdeRegister::kCount, false)} |
                       u32{drive_->read_register(IdeRegister::kLbaLow, false)} << 8 |
                       u32{drive_->read_register(IdeRegister::kLbaMid, false)} << 16 |
                       u32{drive_->read_register(IdeRegister::kLbaHigh, false)} << 24;
    end_command();
  } else if (state_.busy) {
    continue_command();
  } else {
    set_status(drive_->status(), drive_->read_register(IdeRegister::kFeatures, false));
  }
  issue();
  host_.leave();
  host_.port_interrupt_changed();
}

/// The device is not busy: it wants to move a block, or the command has ended.
void AhciPort::continue_command() {
  if (!drive_->offers_block()) return end_command();
  const u8 before = drive_->status();
  const std::span<u8> block = drive_->block();
  const u32 count = static_cast<u32>(block.size());
  const bool to_host = drive_->transfer() == IdeTransfer::kPioIn;
  if (to_host) {
    (void)to_memory(block);
  } else if (drive_->transfer() == IdeTransfer::kPacket && state_.packet) {
    host_.memory().read_bytes(PhysicalAddress(state_.table + kPacketOffset), block);
  } else if (!from_memory(block)) {
    return;  // the device waits for data that never comes
  }
  drive_->end_block();
  post_pio_setup(to_host, before, count);
  if (drive_->status() & kAtaBsy) return;
  // A PIO read ends with its last block (Serial ATA, 11.7).
  state_.busy = false;
  state_.issued &= ~(u32{1} << state_.slot);
}

/// A register FIS ends the command, or its stay with the device when it was queued.
void AhciPort::end_command() {
  post_register_fis();
  if (!state_.busy) return;
  state_.busy = false;
  if (!(drive_->status() & kAtaErr)) state_.issued &= ~(u32{1} << state_.slot);
}

void AhciPort::queue_ended(u32 tags) {
  if (!host_.enter()) return;
  const u8 status = drive_->status();
  const u8 error = drive_->read_register(IdeRegister::kFeatures, false);
  if (tags != 0 || (status & kAtaErr)) {
    state_.active &= ~tags;
    std::array<u8, 8> fis{kSetDeviceBits, kFisInterrupt, static_cast<u8>(status & 0x77), error};
    std::memcpy(fis.data() + 4, &tags, sizeof(tags));
    // A status without BSY and DRQ: those are not the FIS's to change.
    set_status(static_cast<u8>((state_.task_file & (kAtaBsy | kAtaDrq)) | (status & 0x77)), error);
    post(kDeviceBitsOffset, fis, kDeviceBitsInterrupt);
  }
  issue();
  host_.leave();
  host_.port_interrupt_changed();
}

void AhciPort::set_status(u8 status, u8 error) {
  state_.task_file = status | u32{error} << 8;
  if (status & kAtaErr) halt(kTaskFileError);
}

/// No further commands until software has cleared ST (6.2.2).
void AhciPort::halt(u32 interrupt) {
  state_.interrupts |= interrupt;
  if (state_.command & kSt) state_.halted = true;
}

// --- FISes to memory ---

void AhciPort::post(u64 offset, std::span<u8> fis, u32 interrupt) {
  if ((state_.command & kFre) && host_.may_master()) {
    host_.memory().write_bytes(PhysicalAddress(state_.received_fis + offset), fis);
  }
  if (fis[1] & kFisInterrupt) state_.interrupts |= interrupt;
}

void AhciPort::put_task_file(std::span<u8> fis) const {
  const auto get = [&](IdeRegister reg, bool older) { return drive_->read_register(reg, older); };
  fis[3] = get(IdeRegister::kFeatures, false);
  fis[4] = get(IdeRegister::kLbaLow, false);
  fis[5] = get(IdeRegister::kLbaMid, false);
  fis[6] = get(IdeRegister::kLbaHigh, false);
  fis[7] = get(IdeRegister::kDevice, false);
  fis[8] = get(IdeRegister::kLbaLow, true);
  fis[9] = get(IdeRegister::kLbaMid, true);
  fis[10] = get(IdeRegister::kLbaHigh, true);
  fis[12] = get(IdeRegister::kCount, false);
  fis[13] = get(IdeRegister::kCount, true);
}

void AhciPort::post_register_fis() {
  std::array<u8, 20> fis{kDeviceToHost, drive_->interrupt() ? kFisInterrupt : u8{0},
                         drive_->status()};
  drive_->acknowledge_interrupt();
  put_task_file(fis);
  set_status(fis[2], fis[3]);
  post(kRegisterOffset, fis, kRegisterFisInterrupt);
}

void AhciPort::post_pio_setup(bool to_host, u8 before, u32 count) {
  std::array<u8, 20> fis{
      kPioSetup,
      static_cast<u8>((drive_->interrupt() ? kFisInterrupt : 0) | (to_host ? kFisToHost : 0)),
      before};
  drive_->acknowledge_interrupt();
  put_task_file(fis);
  fis[15] = drive_->status();
  fis[16] = static_cast<u8>(count);
  fis[17] = static_cast<u8>(count >> 8);
  set_status(fis[15], fis[3]);
  post(kPioSetupOffset, fis, kPioSetupInterrupt);
}

// --- Data ---

void AhciPort::dma_requested() {
  if (!state_.busy) return;
  if (state_.queued) {
    std::array<u8, 28> fis{kDmaSetup, drive_->dma_writes_memory() ? kFisToHost : u8{0}};
    fis[4] = drive_->read_register(IdeRegister::kCount, false) >> 3;  // the tag
    post(kDmaSetupOffset, fis, kDmaSetupInterrupt);
  }
  drive_->run_dma(*this);
}

template <class Copy>
bool AhciPort::transfer(u64 bytes, Copy copy) {
  MemoryMap& memory = host_.memory();
  u64 done = 0;
  while (done < bytes && state_.region < state_.regions) {
    const PhysicalAddress entry(state_.table + kRegionOffset + u64{kRegionBytes} * state_.region);
    const u64 base = memory.load<u64>(entry) & ~u64{1};
    const u32 options = memory.load<u32>(entry + 12);
    const u32 length = (options & 0x3ffffe) + 2;  // 4.2.3.3: even, at most 4 MiB
    if (state_.region_used < length) {
      const u64 n = std::min<u64>(bytes - done, length - state_.region_used);
      copy(PhysicalAddress(base + state_.region_used), done, n);
      done += n;
      state_.region_used += static_cast<u32>(n);
    }
    if (state_.region_used >= length) {
      if (options & 0x80000000) state_.interrupts |= kDescriptorProcessed;
      ++state_.region;
      state_.region_used = 0;
    }
  }
  state_.moved += static_cast<u32>(done);
  memory.store<u32>(PhysicalAddress(state_.command_list + u64{kHeaderBytes} * state_.slot + 4),
                    state_.moved);
  if (done == bytes) return true;
  log_.write(LogCategory::kGuestErrors, "{}: slot {}: descriptors end before the data", name_,
             state_.slot);
  state_.interrupts |= kOverflow;
  return false;
}

/// What does not fit is dropped, and PxIS.OFS says so (6.1.5).
bool AhciPort::to_memory(std::span<const u8> data) {
  (void)transfer(data.size(), [&](PhysicalAddress address, u64 done, u64 n) {
    host_.memory().write_bytes(address, data.subspan(done, n));
  });
  return true;
}

bool AhciPort::from_memory(std::span<u8> data) {
  return transfer(data.size(), [&](PhysicalAddress address, u64 done, u64 n) {
    host_.memory().read_bytes(address, data.subspan(done, n));
  });
}

}  // namespace dragoman
