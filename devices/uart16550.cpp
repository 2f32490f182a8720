// 16550A universal asynchronous receiver/transmitter with FIFOs.
// Datasheet: National Semiconductor PC16550D (June 1995).
#include "devices/uart16550.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace dragoman {
namespace {

// Register offsets (table II of the datasheet).
enum Register : u16 {
  kData = 0,                     // RBR, THR; DLL with DLAB
  kInterruptEnable = 1,          // IER; DLM with DLAB
  kInterruptIdentification = 2,  // IIR; FCR on writes
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};

constexpr u8 kIerReceive = 0x01;
constexpr u8 kIerTransmit = 0x02;
constexpr u8 kIerLineStatus = 0x04;
constexpr u8 kIerModemStatus = 0x08;

constexpr u8 kIirNone = 0x01;
constexpr u8 kIirModemStatus = 0x00;
constexpr u8 kIirTransmit = 0x02;
constexpr u8 kIirReceive = 0x04;
constexpr u8 kIirLineStatus = 0x06;
constexpr u8 kIirTimeout = 0x0c;

constexpr u8 kFcrEnable = 0x01;
constexpr u8 kFcrClearReceive = 0x02;

constexpr u8 kLcrStopBits = 0x04;
constexpr u8 kLcrParity = 0x08;
constexpr u8 kLcrDlab = 0x80;

constexpr u8 kMcrDtr = 0x01;
constexpr u8 kMcrRts = 0x02;
constexpr u8 kMcrOut1 = 0x04;
constexpr u8 kMcrOut2 = 0x08;
constexpr u8 kMcrLoopback = 0x10;

constexpr u8 kLsrDataReady = 0x01;
constexpr u8 kLsrOverrun = 0x02;
constexpr u8 kLsrBreak = 0x10;
constexpr u8 kLsrTransmitterEmpty = 0x60;  // THRE and TEMT
constexpr u8 kLsrFifoError = 0x80;

constexpr u8 kMsrCts = 0x10;
constexpr u8 kMsrDsr = 0x20;
constexpr u8 kMsrRi = 0x40;
constexpr u8 kMsrDcd = 0x80;

constexpr u64 kClockHz = 1'843'200;
constexpr u64 kNanosecondsPerSecond = 1'000'000'000;
// A guest that programs a very slow line still gets its transmit interrupts in reasonable time.
constexpr u64 kLongestTransmitDelayNs = 100'000;

}  // namespace

Uart16550::Uart16550(std::string name, Scheduler& scheduler, IrqLine irq, CharacterBackend* backend)
    : StatefulDevice(std::move(name)),
      irq_(irq),
      backend_(backend),
      scheduler_(scheduler),
      transmit_timer_(scheduler, std::string(this->name()) + ".transmit",
                      [this] {
                        state_.transmit_interrupt_at = Scheduler::kNever;
                        state_.transmit_interrupt = true;
                        update_irq();
                      }),
      timeout_timer_(scheduler, std::string(this->name()) + ".timeout", [this] {
        state_.receive_timeout_at = Scheduler::kNever;
        state_.timeout_interrupt = state_.fifo_count != 0;
        update_irq();
      }) {
  if (backend_ != nullptr) backend_->set_receiver(this);
}

Uart16550::~Uart16550() {
  if (backend_ != nullptr) backend_->set_receiver(nullptr);
}

void Uart16550::reset() {
  StatefulDevice::reset();
  show_modem_lines();
}

void Uart16550::restored() {
  state_.fifo_first &= 15;
  state_.fifo_count = std::min<u8>(state_.fifo_count, 16);
  transmit_timer_.cancel();
  timeout_timer_.cancel();
  if (state_.transmit_interrupt_at != Scheduler::kNever) {
    transmit_timer_.arm_at(state_.transmit_interrupt_at);
  }
  if (state_.receive_timeout_at != Scheduler::kNever) {
    timeout_timer_.arm_at(state_.receive_timeout_at);
  }
  update_irq();
}

bool Uart16550::fifos_enabled() const { return (state_.fifo_control & kFcrEnable) != 0; }
bool Uart16550::loopback() const { return (state_.modem_control & kMcrLoopback) != 0; }

unsigned Uart16550::trigger_level() const {
  constexpr std::array<unsigned, 4> kLevels = {1, 4, 8, 14};
  return fifos_enabled() ? kLevels[state_.fifo_control >> 6] : 1;
}

u64 Uart16550::bit_time_ns() const {
  const u64 divisor = state_.divisor == 0 ? 65536 : state_.divisor;
  return divisor * 16 * kNanosecondsPerSecond / kClockHz;
}

u8 Uart16550::word_mask() const {
  // The reset value means words of five bits, but who never programmed the line relies on firmware
  // to have done so (SeaBIOS does not), and the back end is a byte stream.
  if (state_.line_control == 0) return 0xff;
  return static_cast<u8>(0xff >> (3 - (state_.line_control & 3)));
}

u64 Uart16550::character_time_ns() const {
  const unsigned word = 5 + (state_.line_control & 3);
  const unsigned parity = (state_.line_control & kLcrParity) ? 1 : 0;
  const unsigned stop = (state_.line_control & kLcrStopBits) ? 2 : 1;
  return bit_time_ns() * (1 + word + parity + stop);
}

u32 Uart16550::port_read(unsigned, u16 offset, unsigned) {
  const bool dlab = (state_.line_control & kLcrDlab) != 0;
  switch (offset) {
    case kData:
      return dlab ? state_.divisor & 0xff : read_receive_buffer();
    case kInterruptEnable:
      return dlab ? state_.divisor >> 8 : state_.interrupt_enable;
    case kInterruptIdentification:
      return read_interrupt_identification();
    case kLineControl:
      return state_.line_control;
    case kModemControl:
      return state_.modem_control;
    case kLineStatus:
      return read_line_status();
    case kModemStatus:
      return read_modem_status();
    case kScratch:
      return state_.scratch;
    default:
      return 0xff;
  }
}

void Uart16550::port_write(unsigned, u16 offset, unsigned, u32 value32) {
  const u8 value = static_cast<u8>(value32);
  const bool dlab = (state_.line_control & kLcrDlab) != 0;
  switch (offset) {
    case kData:
      if (dlab) {
        state_.divisor = static_cast<u16>((state_.divisor & 0xff00) | value);
      } else {
        write_transmit(value);
      }
      break;
    case kInterruptEnable:
      if (dlab) {
        state_.divisor = static_cast<u16>((state_.divisor & 0x00ff) | value << 8);
      } else {
        write_interrupt_enable(value);
      }
      break;
    case kInterruptIdentification:
      write_fifo_control(value);
      break;
    case kLineControl:
      state_.line_control = value;  // set break acts on SOUT only (8.1); hosts have no such wire
      break;
    case kModemControl:
      write_modem_control(value);
      break;
    case kScratch:
      state_.scratch = value;
      break;
    default:
      break;  // LSR and MSR are for reading (factory tests write them, 8.4)
  }
}

u8 Uart16550::read_receive_buffer() {
  if (state_.fifo_count != 0) {
    state_.receive_buffer = state_.fifo[state_.fifo_first];
    state_.fifo_first = (state_.fifo_first + 1) & 15;
    --state_.fifo_count;
    reveal_errors();
  }
  const u8 value = state_.receive_buffer;
  // A read restarts the timeout (8.6.1 D); below the trigger level the interrupt goes away.
  cancel_timeout();
  if (state_.fifo_count != 0) arm_timeout();
  update_irq();
  if (state_.fifo_count == 0 && backend_ != nullptr && !loopback()) backend_->receiver_ready();
  return value;
}

u8 Uart16550::interrupt_identification() const {
  const u8 enable = state_.interrupt_enable;
  // Priorities of table III.
  if ((enable & kIerLineStatus) && state_.line_errors != 0) return kIirLineStatus;
  if ((enable & kIerReceive) && state_.fifo_count >= trigger_level()) return kIirReceive;
  if ((enable & kIerReceive) && state_.timeout_interrupt) return kIirTimeout;
  if ((enable & kIerTransmit) && state_.transmit_interrupt) return kIirTransmit;
  if ((enable & kIerModemStatus) && state_.modem_deltas != 0) return kIirModemStatus;
  return kIirNone;
}

u8 Uart16550::read_interrupt_identification() {
  const u8 identification = interrupt_identification();
  if (identification == kIirTransmit) {  // reading it as the source clears it (table III)
    state_.transmit_interrupt = false;
    update_irq();
  }
  return static_cast<u8>(identification | (fifos_enabled() ? 0xc0 : 0));
}

u8 Uart16550::read_line_status() {
  u8 status = static_cast<u8>(kLsrTransmitterEmpty | state_.line_errors);
  if (state_.fifo_count != 0) status |= kLsrDataReady;
  if (fifos_enabled()) {
    bool error_in_fifo = (state_.line_errors & ~kLsrOverrun) != 0;
    for (unsigned i = 0; i < state_.fifo_count; ++i) {
      if (state_.fifo_errors[(state_.fifo_first + i) & 15] != 0) error_in_fifo = true;
    }
    if (error_in_fifo) status |= kLsrFifoError;
  }
  if (state_.line_errors != 0) {
    state_.line_errors = 0;
    update_irq();
  }
  return status;
}

u8 Uart16550::modem_lines() const {
  if (!loopback()) return kMsrCts | kMsrDsr | kMsrDcd;  // the host is always there
  // 8.5: the four modem control outputs are wired to the four inputs.
  const u8 control = state_.modem_control;
  return static_cast<u8>(((control & kMcrRts) ? kMsrCts : 0) | ((control & kMcrDtr) ? kMsrDsr : 0) |
                         ((control & kMcrOut1) ? kMsrRi : 0) |
                         ((control & kMcrOut2) ? kMsrDcd : 0));
}

u8 Uart16550::read_modem_status() {
  const u8 status = modem_lines() | state_.modem_deltas;
  if (state_.modem_deltas != 0) {
    state_.modem_deltas = 0;
    update_irq();
  }
  return status;
}

void Uart16550::write_transmit(u8 value) {
  const u8 character = value & word_mask();
  if (loopback()) {
    push(character, 0);
  } else if (backend_ != nullptr) {
    backend_->send({&character, 1});
  }
  if (state_.transmit_interrupt) {
    state_.transmit_interrupt = false;
    update_irq();
  }
  if (state_.interrupt_enable & kIerTransmit) {
    state_.transmit_interrupt_at =
        scheduler_.now() + std::min(bit_time_ns(), kLongestTransmitDelayNs);
    transmit_timer_.arm_at(state_.transmit_interrupt_at);
  }
}

void Uart16550::write_interrupt_enable(u8 value) {
  value &= 0x0f;
  const u8 changed = value ^ state_.interrupt_enable;
  state_.interrupt_enable = value;
  if (changed & kIerTransmit) {
    // Enabling with an empty transmitter interrupts at once; drivers start output that way.
    state_.transmit_interrupt = (value & kIerTransmit) != 0;
    state_.transmit_interrupt_at = Scheduler::kNever;
    transmit_timer_.cancel();
  }
  update_irq();
}

void Uart16550::write_fifo_control(u8 value) {
  // 8.4: switching FIFO mode clears both FIFOs; the other bits count only with bit 0 set.
  const bool switched = ((value ^ state_.fifo_control) & kFcrEnable) != 0;
  if (switched || ((value & kFcrEnable) && (value & kFcrClearReceive))) clear_receive_fifo();
  state_.fifo_control = (value & kFcrEnable) ? value & 0xc9 : 0;
  update_irq();
  if (backend_ != nullptr && !loopback() && state_.fifo_count == 0) backend_->receiver_ready();
}

void Uart16550::write_modem_control(u8 value) {
  const u8 before = modem_lines();
  const bool was_loopback = loopback();
  state_.modem_control = value & 0x1f;
  const u8 after = modem_lines();
  const u8 changed = before ^ after;
  // 8.8: DCTS, DDSR and DDCD on any change, TERI only when RI goes inactive.
  if (changed & kMsrCts) state_.modem_deltas |= 0x01;
  if (changed & kMsrDsr) state_.modem_deltas |= 0x02;
  if ((changed & kMsrRi) && !(after & kMsrRi)) state_.modem_deltas |= 0x04;
  if (changed & kMsrDcd) state_.modem_deltas |= 0x08;
  update_irq();
  show_modem_lines();
  if (was_loopback && !loopback() && backend_ != nullptr) backend_->receiver_ready();
}

void Uart16550::show_modem_lines() {
  if (backend_ == nullptr) return;
  const u8 lines = loopback() ? 0 : state_.modem_control;  // inactive in loopback (8.5)
  backend_->set_modem_lines((lines & kMcrDtr) != 0, (lines & kMcrRts) != 0);
}

unsigned Uart16550::can_receive() {
  if (loopback()) return 0;  // SIN is disconnected (8.5)
  if (fifos_enabled()) return 16u - std::min<unsigned>(state_.fifo_count, 16);
  return state_.fifo_count == 0 ? 1 : 0;
}

void Uart16550::receive(std::span<const u8> bytes) {
  if (loopback()) return;
  const u8 mask = word_mask();
  for (const u8 byte : bytes) push(byte & mask, 0);
}

void Uart16550::receive_break() {
  if (!loopback()) push(0, kLsrBreak);
}

void Uart16550::push(u8 character, u8 errors) {
  const unsigned capacity = fifos_enabled() ? 16 : 1;
  if (state_.fifo_count >= capacity) {
    // 8.3: a full FIFO keeps its characters; without FIFO the old character is overwritten.
    state_.line_errors |= kLsrOverrun;
    if (fifos_enabled()) {
      update_irq();
      return;
    }
    state_.fifo_count = 0;
  }
  const unsigned index = (state_.fifo_first + state_.fifo_count) & 15;
  state_.fifo[index] = character;
  state_.fifo_errors[index] = errors;
  if (++state_.fifo_count == 1) reveal_errors();
  if (fifos_enabled()) {
    state_.timeout_interrupt = false;
    arm_timeout();
  }
  update_irq();
}

void Uart16550::reveal_errors() {
  // 8.3: PE, FE and BI show when their character is at the top of the FIFO.
  if (state_.fifo_count == 0) return;
  state_.line_errors |= std::exchange(state_.fifo_errors[state_.fifo_first], u8{0});
}

void Uart16550::clear_receive_fifo() {
  state_.fifo_count = 0;
  state_.fifo_first = 0;
  state_.fifo_errors = {};
  cancel_timeout();
}

void Uart16550::arm_timeout() {
  if (!fifos_enabled()) return;
  state_.receive_timeout_at = scheduler_.now() + 4 * character_time_ns();
  timeout_timer_.arm_at(state_.receive_timeout_at);
}

void Uart16550::cancel_timeout() {
  state_.timeout_interrupt = false;
  state_.receive_timeout_at = Scheduler::kNever;
  timeout_timer_.cancel();
}

void Uart16550::update_irq() {
  const bool wanted = interrupt_identification() != kIirNone;
  irq_.set(wanted && (state_.modem_control & kMcrOut2) != 0);
}

}  // namespace dragoman
