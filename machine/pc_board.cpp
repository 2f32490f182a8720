#include "machine/pc_board.h"

#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "bios/fw_cfg_content.h"
#include "devices/nvme/nvme.h"
#include "devices/sound/i82801aa_audio.h"
#include "devices/sound/mpu401.h"
#include "devices/sound/sb16.h"
#include "devices/sound/ymf262.h"
#include "devices/usb/usb_tablet.h"
#include "devices/virtio/virtio_blk.h"
#include "devices/virtio/virtio_console.h"
#include "devices/virtio/virtio_rng.h"
#include "devices/virtio/virtio_tablet.h"
#include "machine/pci_setup.h"

namespace dragoman {
namespace {

constexpr std::array<u16, 4> kSerialPorts = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
constexpr std::array<unsigned, 4> kSerialIrqs = {4, 3, 4, 3};
constexpr u16 kAdlibPort = 0x388;
constexpr u16 kMpu401Port = 0x330;
constexpr u32 kAdlibVolume = 2 * 65536;  // one voice is an eighth of full scale

/// A pin that calls a function on its rising edge.
class EdgePin final : public IrqSink {
 public:
  explicit EdgePin(std::function<void()> action) : action_(std::move(action)) {}
  void set_irq(unsigned, bool level) override {
    if (level && !level_) action_();
    level_ = level;
  }

 private:
  std::function<void()> action_;
  bool level_ = false;
};

}  // namespace

Result<std::unique_ptr<PcBoard>> PcBoard::create(const MachineConfig& config, Log& log,
                                                 BoardEvents events) {
  auto memory = GuestMemory::create(config.ram_bytes);
  if (!memory) return memory.error();
  std::unique_ptr<PcBoard> board(new PcBoard(config, log, std::move(events), memory.take()));
  if (auto result = board->reset(); !result) return result.error();
  return board;
}

PcBoard::PcBoard(const MachineConfig& config, Log& log, BoardEvents events,
                 std::unique_ptr<GuestMemory> memory)
    : config_(config),
      log_(log),
      events_(std::move(events)),
      memory_(std::move(memory)),
      map_(*memory_, log),
      ports_(log),
      clock_(config.icount_shift ? std::unique_ptr<MachineClock>(std::make_unique<InstructionClock>(
                                       *config.icount_shift,
                                       [this] { return cpu_ != nullptr ? cpu_->retired() : 0; }))
                                 : std::make_unique<HostClock>()),
      scheduler_(*clock_),
      spaces_{map_, ports_},
      random_(config.random_seed) {
  add_processor();
  add_chipset();
  add_isa_devices();
  add_pci_devices();
  add_sound();
  add_drives();
  add_firmware();
}

PcBoard::~PcBoard() {
  for (const auto& [backend, mixer] : mixers_) mixer->flush();
  devices_.clear();
}

void PcBoard::add_processor() {
  ioapic_ = &add<Ioapic>("ioapic.0", map_, apic_bus_);
  LocalApicOptions options;
  options.physical_bits = config_.cpu.physical_bits;
  options.pic_acknowledge = [this] { return pic_->acknowledge(); };
  options.tsc = [this] { return cpu_ != nullptr ? cpu_->tsc() : 0; };
  options.tsc_to_ns = [this](u64 tsc) {
    const u64 ticks = tsc - static_cast<u64>(cpu_->state.tsc_offset);
    return static_cast<u64>(static_cast<u128>(ticks) * 1'000'000'000u / config_.cpu.tsc_hz);
  };
  init_pin_ = std::make_unique<EdgePin>([this] { request_reset(false); });
  // The chipset does not exist yet, so FERR# goes through a pin that looks it up.
  class FerrPin final : public IrqSink {
   public:
    explicit FerrPin(PcBoard& board) : board_(board) {}
    void set_irq(unsigned, bool level) override { board_.chipset_->isa_irq(13).set(level); }

   private:
    PcBoard& board_;
  };
  ferr_pin_ = std::make_unique<FerrPin>(*this);
  options.ferr = IrqLine(*ferr_pin_, 0);
  apic_ = &add<LocalApic>("apic.0", scheduler_, map_, apic_bus_, std::move(options));
  intr_ = std::make_unique<IrqFanout>(
      std::vector<IrqLine>{IrqLine(*apic_, LocalApic::kPinLint0), IrqLine(*ioapic_, 0)});
  pic_ = &add<I8259Pair>(log_, ports_, IrqLine(*intr_, 0));

  CpuWiring wiring;
  wiring.memory = &map_;
  wiring.ports = &ports_;
  wiring.clock = clock_.get();
  wiring.log = &log_;
  wiring.interrupts = apic_;
  wiring.smm_changed = [this](bool smm) { chipset_->set_smm(smm); };
  wiring.random_bytes = [this](std::span<u8> out) { random_bytes(out); };
  cpu_ = std::make_unique<Cpu>(config_.cpu, std::move(wiring));
  apic_->connect(*cpu_);
  a20_ = std::make_unique<A20Gate>([this](bool enabled) { cpu_->set_a20(enabled); });
}

void PcBoard::add_chipset() {
  const ChipsetParts parts{
      .devices = devices_,
      .spaces = spaces_,
      .msi = apic_bus_,
      .scheduler = scheduler_,
      .log = log_,
      .ram_bytes = config_.ram_bytes,
      .usb = config_.usb || config_.usb_tablet,
      .pic = *pic_,
      .ioapic = *ioapic_,
      .reset = [this](bool hard) { request_reset(hard); },
      .smi = [this] { cpu_->raise_smi(); },
      .power_off =
          [this] {
            events_.power_off();
            cpu_->request_stop();
          },
      .sleep =
          [this](unsigned type) {
            log_.once("sleep", "guest asked for sleep type {}, which is not offered", type);
          },
  };
  chipset_ = make_chipset(config_.board, parts);
  next_slot_ = chipset_->first_free_slot();
}

void PcBoard::add_isa_devices() {
  Hpet& hpet =
      add<Hpet>("hpet", scheduler_, map_, chipset_->isa_irq(0), chipset_->isa_irq(8), *ioapic_);
  pit_ = &add<I8254>(scheduler_, ports_, IrqLine(hpet, Hpet::kPit));
  port61_ = &add<Port61>(scheduler_, ports_, *pit_, IrqLine(*apic_, LocalApic::kPinLint1));
  rtc_ = &add<Mc146818>(scheduler_, ports_, IrqLine(hpet, Hpet::kRtc), config_.rtc_unix_seconds,
                        [this](bool masked) { port61_->set_nmi_masked(masked); });
  dma_ = &add<I8237Pair>(log_, ports_, map_);
  add<Port92>(ports_, IrqLine(*a20_, A20Gate::kPort92), IrqLine(*init_pin_, 0));
  keyboard_ = &add<Ps2Keyboard>(scheduler_, log_);
  Ps2Mouse& ps2_mouse = add<Ps2Mouse>(scheduler_, log_);
  add<I8042>(scheduler_, log_, ports_, *keyboard_, ps2_mouse, chipset_->isa_irq(1),
             chipset_->isa_irq(12), IrqLine(*a20_, A20Gate::kKeyboardController),
             IrqLine(*init_pin_, 0));
  floppy_ = &add<I82077>(scheduler_, log_, ports_, *dma_, chipset_->isa_irq(6));

  SerialMouse* serial_mouse = nullptr;
  for (unsigned i = 0; i < kSerialPorts.size(); ++i) {
    CharacterBackend* backend = config_.serial[i];
    if (config_.serial_mouse == i) {
      backend = serial_mouse = &add<SerialMouse>("serial-mouse", scheduler_);
    }
    if (backend == nullptr) {
      uarts_.push_back(nullptr);
      continue;
    }
    const std::string name = "uart." + std::to_string(i);
    Uart16550& uart = add<Uart16550>(name, scheduler_, chipset_->isa_irq(kSerialIrqs[i]), backend);
    ports_.add(name, Port(kSerialPorts[i]), Uart16550::kPortCount, uart);
    uarts_.push_back(&uart);
  }
  mouse_ = std::make_unique<MouseInput>(ps2_mouse, serial_mouse);
  if (config_.parallel != nullptr) {
    ParallelPort& lpt =
        add<ParallelPort>("lpt.0", scheduler_, chipset_->isa_irq(7), config_.parallel);
    ports_.add("lpt.0", Port(0x378), ParallelPort::kPortCount, lpt);
  }
  if (config_.debug_console != nullptr) {
    DebugConsole& console = add<DebugConsole>("debugcon", config_.debug_console);
    ports_.add("debugcon", Port(config_.debug_console_port), DebugConsole::kPortCount, console);
  }
  if (config_.firmware_log != nullptr && config_.debug_console_port != 0x402) {
    DebugConsole& console = add<DebugConsole>("firmware-log", config_.firmware_log);
    ports_.add("firmware-log", Port(0x402), DebugConsole::kPortCount, console);
  }
  if (config_.debug_exit) {
    IsaDebugExit& exit = add<IsaDebugExit>([this](int status) {
      events_.debug_exit(status);
      cpu_->request_stop();
    });
    const u16 count = config_.debug_exit->ports;
    ports_.add("isa-debug-exit", Port(config_.debug_exit->port), count, exit, 0,
               count >= 4   ? 4
               : count >= 2 ? 2
                            : 1);
  }
  if (config_.pc_testdev) {
    std::array<IrqLine, PcTestdev::kIsaLines> lines;
    for (unsigned i = 0; i < lines.size(); ++i) lines[i] = chipset_->isa_irq(i);
    add<PcTestdev>(map_, ports_, log_, lines);
  }
}

void PcBoard::plug(PciFunction& function) { chipset_->pci().attach(next_slot_++, 0, function); }

void PcBoard::random_bytes(std::span<u8> out) {
  if (!config_.icount_shift) {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got =
          getrandom(out.data() + done, std::min<std::size_t>(out.size() - done, 256), 0);
      if (got > 0) done += static_cast<std::size_t>(got);
    }
    return;
  }
  for (u8& byte : out) byte = static_cast<u8>(random_.next() >> 56);
}

void PcBoard::add_pci_devices() {
  if (config_.has_vga) {
    vga_ = &add<StdVga>("vga", spaces_, scheduler_, config_.vga_rom.bytes);
    plug(*vga_);
  }
  unsigned number = 0;
  for (CharacterBackend* backend : config_.virtio_consoles) {
    plug(add<VirtioConsole>("virtio-console." + std::to_string(number++), spaces_, apic_bus_, log_,
                            *backend));
  }
  for (unsigned i = 0; i < config_.virtio_rngs; ++i) {
    plug(add<VirtioRng>("virtio-rng." + std::to_string(i), spaces_, apic_bus_, log_,
                        [this](std::span<u8> out) { random_bytes(out); }));
  }
  if (config_.virtio_tablet) {
    auto& tablet = add<VirtioTablet>("virtio-tablet", spaces_, apic_bus_, log_);
    plug(tablet);
    tablets_.push_back(&tablet);
  }
  if (config_.usb_tablet) {
    auto& tablet = add<UsbTablet>("usb-tablet", scheduler_);
    chipset_->usb()->attach(tablet);
    tablets_.push_back(&tablet);
  }
}

PciBus& PcBoard::pci() { return chipset_->pci(); }

AbsolutePointer* PcBoard::tablet() {
  for (AbsolutePointer* tablet : tablets_) {
    if (tablet->ready()) return tablet;
  }
  return tablets_.empty() ? nullptr : tablets_.front();
}

AudioMixer* PcBoard::mixer_for(AudioBackend* backend) {
  if (backend == nullptr) return nullptr;
  for (const auto& [known, mixer] : mixers_) {
    if (known == backend) return mixer.get();
  }
  mixers_.emplace_back(backend, std::make_unique<AudioMixer>(scheduler_, *backend));
  return mixers_.back().second.get();
}

void PcBoard::add_sound() {
  const SoundConfig& sound = config_.sound;
  if (AudioMixer* mixer = mixer_for(sound.speaker)) {
    speaker_ = std::make_unique<PcSpeaker>(scheduler_, *mixer, *pit_, *port61_);
  }
  if (sound.sb16) {
    AudioMixer* const mixer = mixer_for(sound.sb16->audio);
    Ymf262& opl = add<Ymf262>("ymf262", scheduler_, mixer);
    const std::array<IrqLine, 4> lines{chipset_->isa_irq(9), chipset_->isa_irq(5),
                                       chipset_->isa_irq(7), chipset_->isa_irq(10)};
    Sb16& card = add<Sb16>("sb16", scheduler_, log_, *dma_, lines, sound.sb16->jumpers, opl, mixer,
                           sound.sb16->midi);
    Mpu401& mpu = add<Mpu401>("mpu401", scheduler_, log_, IrqLine(card, 0), sound.sb16->midi);
    ports_.add("mpu401", Port(kMpu401Port), Mpu401::kPortCount, mpu);
    const u16 base = sound.sb16->port;
    ports_.add("sb16", Port(static_cast<u16>(base + Sb16::kFirstPort)), Sb16::kPortCount, card);
    ports_.add("sb16 opl3", Port(base), Ymf262::kPortCount, opl);
    ports_.add("sb16 opl2", Port(static_cast<u16>(base + 8)), 2, opl);
    ports_.add("ymf262", Port(kAdlibPort), Ymf262::kPortCount, opl);
  } else if (sound.adlib) {
    Ymf262& opl = add<Ymf262>("ymf262", scheduler_, mixer_for(sound.adlib->audio));
    opl.set_volume(kAdlibVolume, kAdlibVolume);
    ports_.add("ymf262", Port(kAdlibPort), Ymf262::kPortCount, opl);
  }
  unsigned number = 0;
  for (AudioBackend* backend : sound.ac97) {
    plug(add<I82801aaAudio>("ac97." + std::to_string(number++), spaces_, scheduler_,
                            mixer_for(backend)));
  }
}

void PcBoard::add_drives() {
  for (unsigned i = 0; i < config_.ahci_adapters; ++i) {
    ahci_slots_.push_back(next_slot_);
    ahci_.push_back(&add<Ahci>("ahci." + std::to_string(i), spaces_, apic_bus_, scheduler_, log_));
    plug(*ahci_.back());
  }
  unsigned virtio_number = 0;
  unsigned nvme_number = 0;
  unsigned serial_number = 0;
  for (const DriveConfig& drive : config_.drives) {
    AtapiCdrom* cdrom = nullptr;
    const std::string serial =
        drive.serial.empty() ? fmt::format("DM{:05}", ++serial_number) : drive.serial;
    switch (drive.interface) {
      case DriveInterface::kIde:
        if (drive.cdrom) {
          cdrom = &chipset_->attach_cdrom(drive.index, drive.image, serial);
        } else {
          chipset_->attach_disk(drive.index, drive.image, serial);
        }
        break;
      case DriveInterface::kSata: {
        Ahci& adapter = *ahci_.at(drive.controller);
        if (drive.cdrom) {
          cdrom = &adapter.attach_cdrom(drive.index, drive.image, serial);
        } else {
          adapter.attach_disk(drive.index, drive.image, serial);
        }
        break;
      }
      case DriveInterface::kVirtio:
        drive_slots_.push_back({&drive, next_slot_});
        plug(add<VirtioBlk>("virtio-blk." + std::to_string(virtio_number++), spaces_, apic_bus_,
                            log_, drive.image, drive.serial));
        break;
      case DriveInterface::kNvme:
        drive_slots_.push_back({&drive, next_slot_});
        plug(add<Nvme>("nvme." + std::to_string(nvme_number++), spaces_, apic_bus_, scheduler_,
                       log_, drive.image, serial));
        break;
      case DriveInterface::kFloppy:
        floppy_->set_media(drive.index, drive.image.get());
        break;
    }
    cdroms_.push_back(cdrom);
  }
}

std::vector<std::string> PcBoard::boot_order() const {
  std::vector<std::pair<unsigned, std::string>> entries;
  for (const DriveConfig& drive : config_.drives) {
    if (!drive.boot_index) continue;
    std::string path;
    switch (drive.interface) {
      case DriveInterface::kIde:
        path = "/pci@i0cf8/" + chipset_->drive_path(drive.index);
        break;
      case DriveInterface::kSata:
        path = fmt::format("/pci@i0cf8/ahci@{:x}/drive@{}/disk@0", ahci_slots_.at(drive.controller),
                           drive.index);
        break;
      case DriveInterface::kVirtio:
      case DriveInterface::kNvme:
        for (const auto& [config, slot] : drive_slots_) {
          if (config != &drive) continue;
          path = drive.interface == DriveInterface::kNvme
                     ? fmt::format("/pci@i0cf8/nvme@{:x}/namespace@1,0", slot)
                     : fmt::format("/pci@i0cf8/scsi@{:x}/disk@0,0", slot);
        }
        break;
      case DriveInterface::kFloppy:
        path = fmt::format("/pci@i0cf8/{}/fdc@03f0/floppy@{}", chipset_->isa_path(), drive.index);
        break;
    }
    entries.emplace_back(*drive.boot_index, path);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> order;
  for (auto& [index, path] : entries) order.push_back(std::move(path));
  return order;
}

BoardDescription PcBoard::describe() const {
  BoardDescription board;
  board.name = config_.name;
  board.uuid = config_.uuid;
  split_ram(board, config_.ram_bytes);
  chipset_->describe(board);
  board.cpu_signature = config_.cpu.signature();
  const CpuidResult features = cpuid(*cpu_, 1, 0);
  board.cpu_features = features.edx;
  board.cpu_mhz = static_cast<u32>(config_.cpu.tsc_hz / 1'000'000);
  board.floppy = std::any_of(config_.drives.begin(), config_.drives.end(),
                             [](const auto& d) { return d.interface == DriveInterface::kFloppy; });
  board.serial_ports.clear();
  for (unsigned i = 0; i < kSerialPorts.size(); ++i) {
    if (uarts_[i] != nullptr) board.serial_ports.push_back(kSerialPorts[i]);
  }
  if (config_.parallel != nullptr) board.parallel_ports.push_back(0x378);
  board.vga = config_.has_vga;
  return board;
}

void PcBoard::add_firmware() {
  fw_cfg_ = &add<FwCfg>("fw_cfg", map_);
  ports_.add("fw_cfg", Port(0x510), 2, *fw_cfg_, FwCfg::kSelectorBank, 2);
  ports_.add("fw_cfg-dma", Port(0x514), 8, *fw_cfg_, FwCfg::kDmaBank, 4);
  if (config_.firmware) place_firmware(map_, *config_.firmware);
  FirmwareOptions options;
  options.boot_order = boot_order();
  options.boot_menu = config_.boot_menu;
  options.graphics = config_.has_vga;
  const FwCfgContent content = firmware_content(describe(), options);
  for (const FwCfgKey& key : content.keys) {
    const auto added = fw_cfg_->add_key(key.key, key.bytes);
    DRAGOMAN_ASSERT(added.ok());
  }
  for (const FwCfgFile& file : content.files) {
    const auto added = fw_cfg_->add_file(file.name, file.bytes);
    DRAGOMAN_ASSERT(added.ok());
  }
}

/// CMOS bytes firmware reads (the layout SeaBIOS documents for this board).
void PcBoard::set_cmos() {
  const auto set16 = [&](u8 index, u64 value) {
    const u64 clamped = std::min<u64>(value, 0xffff);
    rtc_->set_cmos(index, static_cast<u8>(clamped));
    rtc_->set_cmos(static_cast<u8>(index + 1), static_cast<u8>(clamped >> 8));
  };
  const BoardDescription board = describe();
  const u64 low = board.ram_below_4g;
  const u64 high = board.ram_above_4g;
  set16(0x15, 640);  // base memory, KiB
  const u64 extended = low > kMiB ? (low - kMiB) / kKiB : 0;
  set16(0x17, extended);  // extended memory, KiB
  set16(0x30, extended);
  set16(0x34, low > 16 * kMiB ? (low - 16 * kMiB) / (64 * kKiB) : 0);  // above 16 MiB, 64 KiB units
  const u64 high_units = high / (64 * kKiB);                           // above 4 GiB
  rtc_->set_cmos(0x5b, static_cast<u8>(high_units));
  rtc_->set_cmos(0x5c, static_cast<u8>(high_units >> 8));
  rtc_->set_cmos(0x5d, static_cast<u8>(high_units >> 16));
  rtc_->set_cmos(0x5f, 0);  // processors minus one
  // Only drives that somebody attached, with or without a medium.
  std::array<u8, 2> floppy_types{};
  for (const DriveConfig& drive : config_.drives) {
    if (drive.interface == DriveInterface::kFloppy && drive.index < floppy_types.size()) {
      floppy_types[drive.index] = floppy_->drive_type(drive.index);
    }
  }
  rtc_->set_cmos(0x10, static_cast<u8>(floppy_types[0] << 4 | floppy_types[1]));
  // Equipment: FPU, PS/2 mouse, floppies, initial video mode left to the VGA BIOS.
  const unsigned floppies = (floppy_types[0] != 0) + (floppy_types[1] != 0);
  rtc_->set_cmos(0x14, static_cast<u8>(0x06 | (floppies > 0 ? 1 | (floppies - 1) << 6 : 0)));
}

void PcBoard::request_reset(bool hard) {
  // Without firmware nothing could take over after INIT, so the whole board starts again.
  if (!hard && config_.firmware) {
    cpu_->raise_init();
    return;
  }
  events_.reset();
  cpu_->request_stop();
}

Result<void> PcBoard::reset() {
  devices_.reset();
  set_cmos();
  chipset_->set_smm(false);
  cpu_->reset();
  if (!config_.firmware && config_.kernel) return start_kernel();
  return {};
}

PcBoard::Saved PcBoard::save() const {
  Saved saved;
  cpu_->save(saved.processor);
  for (const auto& device : devices_.all()) device->save(saved.devices);
  saved.timers = scheduler_.save();
  saved.pins = cpu_->pins();
  saved.skipped = clock_->skipped();
  saved.random = random_;
  return saved;
}

Result<void> PcBoard::load(const Saved& saved) {
  // Time goes first, for devices that look at it. They are loaded twice: the first pass brings the
  // levels of all lines to what they were, some with edges that the devices at their ends see; in
  // the second pass no line changes any more, and their states are as saved.
  std::span<const u8> processor(saved.processor);
  if (auto ok = cpu_->load(processor); !ok) return ok;
  clock_->set_skipped(saved.skipped);
  for (int pass = 0; pass < 2; ++pass) {
    std::span<const u8> devices(saved.devices);
    for (const auto& device : devices_.all()) {
      if (auto ok = device->load(devices); !ok) return ok;
    }
  }
  processor = saved.processor;
  if (auto ok = cpu_->load(processor); !ok) return ok;
  random_ = saved.random;
  scheduler_.restore(saved.timers);
  cpu_->set_pins(saved.pins);
  return {};
}

Result<void> PcBoard::start_kernel() {
  setup_without_firmware(chipset_->pci(), ports_, describe());
  chipset_->set_up(describe());
  if (cpu_->has(Feature::kMtrr)) {
    set_memory_types(cpu_->state.msr, describe(), cpu_->model().physical_bits);
  }
  apic_->open_virtual_wire();
  auto tables = place_tables(*memory_, describe());
  if (!tables) return tables.error();
  auto kernel = config_.kernel->kernel->read_all();
  if (!kernel) return kernel.error();
  DirectBoot boot;
  boot.kernel = *kernel;
  boot.kernel_name = config_.kernel->name;
  boot.command_line = config_.kernel->command_line;
  boot.modules = config_.kernel->modules;
  boot.tables = tables.take();
  boot.vga_text = vga_ != nullptr && config_.kernel->screen != nullptr;
  if (boot.vga_text) vga_->show(*config_.kernel->screen);
  auto state = boot_kernel(*memory_, boot);
  if (!state) return state.error();
  enter(*state);
  return {};
}

void PcBoard::enter(const BootState& boot) {
  if (boot.mode == BootMode::kReset) return;
  CpuState& s = cpu_->state;
  s.regs = {};
  s.regs[kRax] = boot.rax;
  s.regs[kRbx] = boot.rbx;
  s.regs[kRsi] = boot.rsi;
  s.regs[kRsp] = boot.rsp;
  s.rip() = boot.entry;
  s.cr0 = boot.cr0;
  s.cr3 = boot.cr3;
  s.cr4 = boot.cr4;
  s.efer = boot.efer;
  s.gdtr = {boot.gdt_base, boot.gdt_limit};
  s.idtr = {0, 0};
  const bool long_mode = boot.mode == BootMode::kLong64;
  const u16 code = static_cast<u16>(0x809b | (long_mode ? 0x2000 : 0x4000));
  for (const unsigned segment : {kEs, kSs, kDs, kFs, kGs}) {
    s.segments[segment] = {0, 0xffffffff, boot.data_selector, 0xc093};
  }
  s.segments[kCs] = {0, 0xffffffff, boot.code_selector, code};
  s.segments[kTr] = {0, 0x67, boot.task_selector, 0x8b};
  s.segments[kLdtr] = {0, 0xffff, 0, 0x82};
  s.cpl = 0;
  cpu_->state_replaced();
}

}  // namespace dragoman
