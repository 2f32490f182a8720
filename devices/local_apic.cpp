#include "devices/local_apic.h"

#include <algorithm>
#include <bit>

#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u64 kBaseEnable = 0x800;
constexpr u64 kBaseExtended = 0x400;
constexpr u64 kBaseBootstrap = 0x100;
constexpr u64 kDefaultBase = 0xfee00000;

// LVT bits.
constexpr u32 kMasked = 1 << 16;
constexpr u32 kLevel = 1 << 15;
constexpr u32 kRemoteIrr = 1 << 14;
constexpr u32 kReadOnlyLvt = kRemoteIrr | 1 << 12;
constexpr std::array<u32, LocalApicState::kLvts> kLvtWritable = {
    0x000700ff, 0x000107ff, 0x000107ff, 0x0001a7ff, 0x0001a7ff, 0x000100ff};
// A periodic timer interrupts at most this often; what the guest asks beyond that is lost.
constexpr u64 kMinimumPeriodNs = 1000;

int highest(const std::array<u32, 8>& bits) {
  for (int word = 7; word >= 0; --word) {
    const u32 value = bits[static_cast<unsigned>(word)];
    if (value != 0) return 32 * word + 31 - std::countl_zero(value);
  }
  return -1;
}
void set_bit(std::array<u32, 8>& bits, u8 n) { bits[n / 32] |= u32{1} << (n % 32); }
void clear_bit(std::array<u32, 8>& bits, u8 n) { bits[n / 32] &= ~(u32{1} << (n % 32)); }
bool test_bit(const std::array<u32, 8>& bits, u8 n) { return (bits[n / 32] >> (n % 32) & 1) != 0; }
}  // namespace

LocalApic::LocalApic(std::string name, Scheduler& scheduler, MemoryMap& memory, ApicBus& bus,
                     LocalApicOptions options)
    : StatefulDevice(std::move(name)),
      scheduler_(scheduler),
      memory_(memory),
      bus_(bus),
      options_(std::move(options)),
      timer_(scheduler, "local apic timer", [this] { timer_expired(); }) {
  range_ = memory.add_mmio("local apic", PhysicalAddress(kDefaultBase), kPageSize, *this, 0);
  bus.attach(*this);
  LocalApic::reset();
}

void LocalApic::connect(CpuPins& pins) {
  pins_ = &pins;
  update();
}

// --- Reset and modes -------------------------------------------------------------------------

void LocalApic::clear_registers() {
  S fresh;
  fresh.base = state_.base;
  fresh.id = options_.apic_id;
  fresh.lint0 = state_.lint0;  // pins belong to whoever drives them
  fresh.lint1 = state_.lint1;
  fresh.ferr = state_.ferr;
  state_ = fresh;
  if (x2apic()) {
    state_.logical_destination = state_.id >> 4 << 16 | 1u << (state_.id & 15);
  }
  timer_.cancel();
}

void LocalApic::reset() {
  state_.base = kDefaultBase | kBaseEnable | (options_.bootstrap ? kBaseBootstrap : 0);
  clear_registers();
  update_mapping();
  update();
}

void LocalApic::init() {
  const u32 id = state_.id;
  clear_registers();
  state_.id = id;
  update();
}

void LocalApic::open_virtual_wire() {
  write_register(0x0f, 0x1ff);
  write_register(0x35, 0x700);
  write_register(0x36, 0x400);
}

bool LocalApic::set_apic_base(u64 value) {
  const u64 address_bits = (bit(options_.physical_bits) - 1) & ~kPageMask;
  if (value & ~(address_bits | kBaseEnable | kBaseExtended | kBaseBootstrap)) return false;
  const u64 old_mode = state_.base & (kBaseEnable | kBaseExtended);
  const u64 new_mode = value & (kBaseEnable | kBaseExtended);
  // Figure 11-27: disabled -> xAPIC -> x2APIC -> disabled, and xAPIC -> disabled.
  if (new_mode == kBaseExtended) return false;
  if (old_mode == 0 && new_mode == (kBaseEnable | kBaseExtended)) return false;
  if (old_mode == (kBaseEnable | kBaseExtended) && new_mode == kBaseEnable) return false;
  state_.base = (value & ~kBaseBootstrap) | (state_.base & kBaseBootstrap);
  if (new_mode != old_mode) {
    if (new_mode == 0 || old_mode == 0) {
      clear_registers();  // 11.4.3: as after power-up once it is enabled again
    } else {
      state_.id = options_.apic_id;
      state_.logical_destination = state_.id >> 4 << 16 | 1u << (state_.id & 15);
      state_.icr &= 0xffffffff;
    }
  }
  update_mapping();
  update();
  return true;
}

void LocalApic::update_mapping() {
  memory_.move(range_, PhysicalAddress(state_.base & ~kPageMask));
  memory_.set_enabled(range_, enabled() && !x2apic());
}

void LocalApic::restored() {
  state_.tpr &= 0xff;
  for (unsigned i = 0; i < S::kLvts; ++i) state_.lvt[i] &= kLvtWritable[i] | kReadOnlyLvt;
  state_.base &= ((bit(options_.physical_bits) - 1) & ~kPageMask) | 0xd00;
  state_.divide &= 0xb;
  if (state_.timer_start_ns > scheduler_.now()) state_.timer_start_ns = scheduler_.now();
  update_mapping();
  if (state_.timer_deadline_ns != 0) {
    timer_.arm_at(state_.timer_deadline_ns);
  } else {
    timer_.cancel();
  }
  options_.ferr.set(state_.ferr);
  update();
}

// --- Priorities and acknowledge --------------------------------------------------------------

u8 LocalApic::priority() const {
  const int in_service = highest(state_.isr);
  const u32 service = in_service < 0 ? 0 : static_cast<u32>(in_service) & 0xf0;
  return static_cast<u8>((state_.tpr & 0xf0) >= service ? state_.tpr : service);
}

int LocalApic::deliverable() const {
  const int vector = highest(state_.irr);
  return vector >= 0 && (vector & 0xf0) > (priority() & 0xf0) ? vector : -1;
}

bool LocalApic::ext_int_requested() const {
  if (!enabled()) return state_.lint0;  // the pin is INTR
  const u32 lvt = state_.lvt[S::kLint0];
  const bool wired = !(lvt & kMasked) && bits(lvt, 10, 8) == 7;
  return state_.ext_int || (wired && state_.lint0);
}

void LocalApic::update() {
  if (pins_ == nullptr) return;
  pins_->set_interrupt_request(ext_int_requested() || (enabled() && deliverable() >= 0));
}

u8 LocalApic::acknowledge() {
  u8 vector = static_cast<u8>(state_.spurious);
  const int pending = enabled() ? deliverable() : -1;
  if (pending >= 0) {
    vector = static_cast<u8>(pending);
    clear_bit(state_.irr, vector);
    set_bit(state_.isr, vector);
  } else if (ext_int_requested() || !enabled()) {
    state_.ext_int = false;
    if (options_.pic_acknowledge) vector = options_.pic_acknowledge();
  }
  update();
  return vector;
}

void LocalApic::set_cr8(u8 value) {
  state_.tpr = static_cast<u32>(value & 15) << 4;
  update();
}

void LocalApic::end_of_interrupt() {
  const int in_service = highest(state_.isr);
  if (in_service < 0) return;
  const u8 vector = static_cast<u8>(in_service);
  clear_bit(state_.isr, vector);
  if (test_bit(state_.tmr, vector)) {
    for (const unsigned index : {S::kLint0, S::kLint1}) {
      u32& lvt = state_.lvt[index];
      if (!(lvt & kRemoteIrr) || static_cast<u8>(lvt) != vector) continue;
      lvt &= ~kRemoteIrr;
      if (index == S::kLint0 ? state_.lint0 : state_.lint1) trigger_lvt(index);
    }
    bus_.broadcast_eoi(vector);
  }
  update();
}

// --- Requests --------------------------------------------------------------------------------

void LocalApic::report_error(u32 error) {
  state_.errors |= error;
  // An illegal vector in LVT error itself must not report itself again without end.
  if (static_cast<u8>(state_.lvt[S::kError]) >= 16) trigger_lvt(S::kError);
}

bool LocalApic::request(u8 vector, bool level_triggered) {
  if (vector < 16) {
    report_error(kReceiveIllegalVector);
    return false;
  }
  set_bit(state_.irr, vector);
  if (level_triggered) {
    set_bit(state_.tmr, vector);
  } else {
    clear_bit(state_.tmr, vector);
  }
  update();
  return true;
}

bool LocalApic::addressed_by(const ApicMessage& message) const {
  if (!enabled()) return false;
  if (message.destination == ApicMessage::kBroadcast) return true;
  if (x2apic()) {
    if (!message.logical) return message.destination == state_.id;
    return message.destination >> 16 == state_.logical_destination >> 16 &&
           (message.destination & state_.logical_destination & 0xffff) != 0;
  }
  const u32 destination = message.destination;
  if (!message.logical) return destination == (state_.id & 0xff);
  const u32 mine = state_.logical_destination >> 24;
  if (state_.destination_format >> 28 == 0xf) return (destination & mine & 0xff) != 0;
  return (destination & 0xf0) == (mine & 0xf0) && (destination & mine & 0x0f) != 0;
}

bool LocalApic::accept(const ApicMessage& message) {
  if (!enabled()) return false;
  switch (message.delivery) {
    case ApicDelivery::kFixed:
    case ApicDelivery::kLowestPriority:
      return software_enabled() && request(message.vector, message.level_triggered);
    case ApicDelivery::kExtInt:
      if (!software_enabled()) return false;
      state_.ext_int = true;
      update();
      return true;
    case ApicDelivery::kSmi:
      if (pins_ != nullptr) pins_->raise_smi();
      return true;
    case ApicDelivery::kNmi:
      if (pins_ != nullptr) pins_->raise_nmi();
      return true;
    case ApicDelivery::kInit:
      init();
      if (pins_ != nullptr) pins_->raise_init();
      return true;
    case ApicDelivery::kStartUp:
      if (pins_ != nullptr) pins_->start_up(message.vector);
      return true;
    case ApicDelivery::kReserved:
      break;
  }
  return false;
}

void LocalApic::send_ipi() {
  ApicMessage message;
  message.vector = static_cast<u8>(state_.icr);
  message.delivery = static_cast<ApicDelivery>(bits(state_.icr, 10, 8));
  message.logical = (state_.icr & bit(11)) != 0;
  const bool assert_level = (state_.icr & bit(14)) != 0;
  const bool level_triggered = (state_.icr & bit(15)) != 0;
  if (x2apic()) {
    message.destination = static_cast<u32>(state_.icr >> 32);
  } else {
    const u32 destination = static_cast<u32>(state_.icr >> 56);
    message.destination = destination == 0xff ? ApicMessage::kBroadcast : destination;
  }
  const u64 shorthand = bits(state_.icr, 19, 18);
  const bool vectored =
      message.delivery == ApicDelivery::kFixed || message.delivery == ApicDelivery::kLowestPriority;
  switch (message.delivery) {
    case ApicDelivery::kReserved:
    case ApicDelivery::kExtInt:
      return;
    case ApicDelivery::kInit:
      if (level_triggered && !assert_level) return;  // INIT level de-assert does nothing
      break;
    default:
      break;
  }
  if (vectored && message.vector < 16) {
    report_error(kSendIllegalVector);
    return;
  }
  // IPIs are edge triggered (table 11-1); only fixed ones may go to the sender itself.
  switch (shorthand) {
    case 0:
      bus_.deliver(message);
      break;
    case 1:
      if (message.delivery == ApicDelivery::kFixed) accept(message);
      break;
    case 2:
      if (message.delivery == ApicDelivery::kFixed) bus_.deliver_to_all(message, nullptr);
      break;
    default:
      bus_.deliver_to_all(message, this);
      break;
  }
}

// --- Local vector table ----------------------------------------------------------------------

void LocalApic::trigger_lvt(unsigned index) {
  u32& lvt = state_.lvt[index];
  if (lvt & kMasked) return;
  const bool has_mode = index != S::kTimer && index != S::kError;
  switch (static_cast<ApicDelivery>(has_mode ? bits(lvt, 10, 8) : 0)) {
    case ApicDelivery::kFixed: {
      const bool level = (lvt & kLevel) != 0;  // only LINT0 and LINT1 have the bit
      if (level && (lvt & kRemoteIrr)) return;
      if (request(static_cast<u8>(lvt), level) && level) lvt |= kRemoteIrr;
      break;
    }
    case ApicDelivery::kSmi:
      if (pins_ != nullptr) pins_->raise_smi();
      break;
    case ApicDelivery::kNmi:
      if (pins_ != nullptr) pins_->raise_nmi();
      break;
    case ApicDelivery::kInit:
      init();
      if (pins_ != nullptr) pins_->raise_init();
      break;
    default:
      break;  // ExtINT follows the level of the pin, see ext_int_requested()
  }
}

void LocalApic::pin_changed(unsigned index, bool level, bool was) {
  if (!enabled()) {
    if (index == S::kLint1 && level && !was && pins_ != nullptr) pins_->raise_nmi();
  } else if (level && (!was || (state_.lvt[index] & kLevel))) {
    trigger_lvt(index);
  }
  update();
}

void LocalApic::set_irq(unsigned pin, bool level) {
  if (pin > kPinLint1) return;
  bool& line = pin == kPinLint0 ? state_.lint0 : state_.lint1;
  const bool was = line;
  if (was == level) return;
  line = level;
  pin_changed(pin == kPinLint0 ? S::kLint0 : S::kLint1, level, was);
}

void LocalApic::set_ferr(bool level) {
  state_.ferr = level;
  options_.ferr.set(level);
}

void LocalApic::write_lvt(unsigned index, u32 value) {
  // The old mode decides what an expiry means that the scheduler has not come to yet.
  if (index == S::kTimer && state_.timer_deadline_ns != 0 &&
      state_.timer_deadline_ns <= scheduler_.now()) {
    timer_.cancel();
    timer_expired();
  }
  u32& lvt = state_.lvt[index];
  const u32 old = lvt;
  lvt = (value & kLvtWritable[index]) | (lvt & kReadOnlyLvt);
  if (!software_enabled()) lvt |= kMasked;
  if (!(lvt & kLevel)) lvt &= ~kRemoteIrr;
  if (index == S::kTimer && (old >> 17 & 3) != timer_mode()) {
    // 11.5.4.1: a change to or from TSC-deadline mode disarms the timer.
    if ((old >> 17 & 3) == kTscDeadline || timer_mode() == kTscDeadline) {
      state_.tsc_deadline = 0;
      state_.timer_start_count = 0;
      state_.timer_deadline_ns = 0;
      timer_.cancel();
      if (timer_mode() == kTscDeadline) state_.initial_count = 0;
    } else {
      start_timer(current_count());
    }
  }
  // A level-triggered input that is asserted while it becomes unmasked requests at once.
  if ((index == S::kLint0 && state_.lint0) || (index == S::kLint1 && state_.lint1)) {
    if ((lvt & kLevel) && bits(lvt, 10, 8) == 0) trigger_lvt(index);
  }
  update();
}

// --- Timer -----------------------------------------------------------------------------------

u32 LocalApic::divisor() const {
  const u32 code = (state_.divide & 3) | (state_.divide >> 1 & 4);
  return code == 7 ? 1 : u32{2} << code;
}

u32 LocalApic::current_count() {
  if (timer_mode() == kTscDeadline || state_.timer_start_count == 0) return 0;
  const u64 elapsed = (scheduler_.now() - state_.timer_start_ns) / divisor();
  if (elapsed < state_.timer_start_count) {
    return static_cast<u32>(state_.timer_start_count - elapsed);
  }
  if (timer_mode() != kPeriodic || state_.initial_count == 0) return 0;
  return static_cast<u32>(state_.initial_count -
                          (elapsed - state_.timer_start_count) % state_.initial_count);
}

void LocalApic::start_timer(u32 count) {
  state_.timer_start_count = count;
  state_.timer_start_ns = scheduler_.now();
  arm_timer();
}

void LocalApic::arm_timer() {
  state_.timer_deadline_ns = 0;
  timer_.cancel();
  if (state_.timer_start_count == 0) return;
  state_.timer_deadline_ns = state_.timer_start_ns + u64{state_.timer_start_count} * divisor();
  timer_.arm_at(state_.timer_deadline_ns);
}

void LocalApic::arm_tsc_deadline() {
  state_.timer_deadline_ns = 0;
  timer_.cancel();
  if (state_.tsc_deadline == 0) return;
  const u64 now = scheduler_.now();
  state_.timer_deadline_ns = std::max(options_.tsc_to_ns(state_.tsc_deadline), now + 1);
  timer_.arm_at(state_.timer_deadline_ns);
}

void LocalApic::set_tsc_deadline(u64 value) {
  if (timer_mode() != kTscDeadline) return;  // 11.5.4.1: ignored in the other modes
  state_.tsc_deadline = value;
  if (value != 0 && options_.tsc() >= value) {
    timer_expired();
  } else {
    arm_tsc_deadline();
  }
}

void LocalApic::tsc_changed() {
  if (timer_mode() == kTscDeadline) set_tsc_deadline(state_.tsc_deadline);
}

void LocalApic::timer_expired() {
  if (timer_mode() == kTscDeadline) {
    if (state_.tsc_deadline == 0) return;
    if (options_.tsc() < state_.tsc_deadline) {  // the TSC was moved or rounded: not yet
      arm_tsc_deadline();
      return;
    }
    state_.tsc_deadline = 0;
    state_.timer_deadline_ns = 0;
    timer_.cancel();
  } else if (timer_mode() == kPeriodic && state_.initial_count != 0) {
    // The next expiry is the first one ahead of now; expiries missed meanwhile are lost.
    const u64 period = u64{state_.initial_count} * divisor();
    const u64 late = scheduler_.now() - std::min(scheduler_.now(), state_.timer_deadline_ns);
    state_.timer_start_ns = state_.timer_deadline_ns + late / period * period;
    state_.timer_start_count = state_.initial_count;
    state_.timer_deadline_ns = state_.timer_start_ns + period;
    const u64 soonest = scheduler_.now() + kMinimumPeriodNs;
    if (state_.timer_deadline_ns < soonest) {
      state_.timer_deadline_ns +=
          (soonest - state_.timer_deadline_ns + period - 1) / period * period;
    }
    timer_.arm_at(state_.timer_deadline_ns);
  } else {
    state_.timer_start_count = 0;
    state_.timer_deadline_ns = 0;
  }
  trigger_lvt(S::kTimer);
}

}  // namespace dragoman
