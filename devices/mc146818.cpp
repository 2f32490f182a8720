// Motorola MC146818 real-time clock.
// Datasheet: Motorola MC146818 (ADI-856).
#include "devices/mc146818.h"

#include <algorithm>

namespace dragoman {

namespace {

enum Index : u8 {
  kSeconds = 0,
  kSecondsAlarm = 1,
  kMinutes = 2,
  kMinutesAlarm = 3,
  kHours = 4,
  kHoursAlarm = 5,
  kDayOfWeek = 6,
  kDay = 7,
  kMonth = 8,
  kYear = 9,
  kRegA = 10,
  kRegB = 11,
  kRegC = 12,
  kRegD = 13,
  kCentury = 0x32,  // plain RAM to the chip; where the FADT of a PC says the century is
};

constexpr u8 kUpdateInProgress = 0x80;
constexpr u8 kSet = 0x80;
constexpr u8 kAlarmBit = 0x20;
constexpr u8 kUpdateBit = 0x10;
constexpr u8 kPeriodicBit = 0x40;
constexpr u8 kInterruptBits = 0x70;
constexpr u8 kSquareWave = 0x08;
constexpr u8 kBinary = 0x04;
constexpr u8 k24Hours = 0x02;
constexpr u8 kIrqFlag = 0x80;
constexpr u8 kValidRam = 0x80;
constexpr u8 kPm = 0x80;

constexpr u64 kTicksPerSecond = 32768;
constexpr u64 kSecondNs = 1'000'000'000;
// UIP rises 244 us before the update, which takes 1984 us with a 32768 Hz crystal (table 7).
constexpr u64 kUipTicks = 73;
constexpr u64 kDaySeconds = 86400;

// Days since 1970-01-01 of a date in the Gregorian calendar, and back (months March to February
// make leap days the last day of the year).
constexpr i64 days_from_date(i64 year, unsigned month, unsigned day) {
  if (month <= 2) --year;
  const i64 era = (year >= 0 ? year : year - 399) / 400;
  const i64 year_of_era = year - era * 400;
  const i64 shifted = (month + 9) % 12;
  const i64 day_of_year = (153 * shifted + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

struct Date {
  i64 year;
  unsigned month;
  unsigned day;
};

constexpr Date date_from_days(i64 days) {
  days += 719468;
  const i64 era = (days >= 0 ? days : days - 146096) / 146097;
  const i64 day_of_era = days - era * 146097;
  const i64 year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const i64 shifted = (5 * day_of_year + 2) / 153;
  const unsigned month = static_cast<unsigned>(shifted < 10 ? shifted + 3 : shifted - 9);
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<unsigned>(day_of_year - (153 * shifted + 2) / 5 + 1)};
}

constexpr unsigned days_in_month(unsigned month, unsigned year) {
  constexpr std::array<u8, 13> kDays{31, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month == 2 && year % 4 == 0) return 29;  // the chip's rule, right for 1901..2099
  return kDays[month <= 12 ? month : 0];
}

}  // namespace

Mc146818::Mc146818(Scheduler& scheduler, PortMap& ports, IrqLine irq8, u64 unix_seconds,
                   std::function<void(bool)> nmi_mask)
    : StatefulDevice("mc146818"),
      scheduler_(scheduler),
      irq8_(irq8),
      nmi_mask_(std::move(nmi_mask)),
      timer_(scheduler, "mc146818", [this] {
        sync();
        update();
      }) {
  ports.add("mc146818", Port(0x70), 2, *this);
  state_.cmos[kRegA] = 0x26;  // 32768 Hz, 1024 Hz periodic: as every BIOS sets it up
  state_.cmos[kRegB] = k24Hours;
  state_.cmos[kRegD] = kValidRam;
  set_calendar(unix_seconds);
}

void Mc146818::reset() {
  sync();
  state_.cmos[kRegB] &= static_cast<u8>(~(kInterruptBits | kSquareWave));
  state_.cmos[kRegC] = 0;
  state_.index = 0;
  state_.nmi_masked = true;
  restored();
}

void Mc146818::restored() {
  state_.index &= 0x7f;
  if (nmi_mask_) nmi_mask_(state_.nmi_masked);
  state_.base_ns = std::min(state_.base_ns, scheduler_.now());
  update();
}

bool Mc146818::divider_running() const { return (state_.cmos[kRegA] & 0x60) != 0x60; }

u64 Mc146818::tick_now() {
  const u64 now = scheduler_.now();
  if (!divider_running() || now < state_.base_ns) return state_.base_tick;
  return state_.base_tick +
         static_cast<u64>(u128{now - state_.base_ns} * kTicksPerSecond / kSecondNs);
}

u64 Mc146818::ns_of(u64 tick) const {
  const u128 distance = u128{tick - state_.base_tick} * kSecondNs;
  return state_.base_ns + static_cast<u64>((distance + kTicksPerSecond - 1) / kTicksPerSecond);
}

unsigned Mc146818::period_ticks() const {
  const unsigned rate = state_.cmos[kRegA] & 15;
  if (rate == 0) return 0;
  return 1u << (rate <= 2 ? rate + 6 : rate - 1);  // rates 1 and 2 repeat 8 and 9 (table 5)
}

unsigned Mc146818::decode(u8 value) const {
  if ((state_.cmos[kRegB] & kBinary) != 0) return value;
  return (value >> 4) * 10u + (value & 15);
}

u8 Mc146818::encode(unsigned value) const {
  if ((state_.cmos[kRegB] & kBinary) != 0) return static_cast<u8>(value);
  return static_cast<u8>((value / 10 % 10) << 4 | value % 10);
}

unsigned Mc146818::hour() const {
  const u8 raw = state_.cmos[kHours];
  if ((state_.cmos[kRegB] & k24Hours) != 0) return decode(raw);
  return decode(raw & 0x7f) % 12 + ((raw & kPm) != 0 ? 12 : 0);
}

void Mc146818::set_hour(unsigned hour) {
  if ((state_.cmos[kRegB] & k24Hours) != 0) {
    state_.cmos[kHours] = encode(hour);
  } else {
    const u8 shown = encode(hour % 12 == 0 ? 12 : hour % 12);
    state_.cmos[kHours] = static_cast<u8>(shown | (hour >= 12 ? kPm : 0));
  }
}

void Mc146818::set_calendar(u64 unix_seconds) {
  const i64 days = static_cast<i64>(unix_seconds / kDaySeconds);
  const unsigned seconds = static_cast<unsigned>(unix_seconds % kDaySeconds);
  const Date date = date_from_days(days);
  state_.cmos[kSeconds] = encode(seconds % 60);
  state_.cmos[kMinutes] = encode(seconds / 60 % 60);
  set_hour(seconds / 3600);
  state_.cmos[kDayOfWeek] = encode(static_cast<unsigned>((days + 4) % 7) + 1);  // 1 = Sunday
  state_.cmos[kDay] = encode(date.day);
  state_.cmos[kMonth] = encode(date.month);
  state_.cmos[kYear] = encode(static_cast<unsigned>(date.year % 100));
  state_.cmos[kCentury] = encode(static_cast<unsigned>(date.year / 100 % 100));
}

u64 Mc146818::calendar() const {
  const unsigned year = decode(state_.cmos[kCentury]) * 100 + decode(state_.cmos[kYear]);
  const i64 days = days_from_date(year, std::clamp(decode(state_.cmos[kMonth]), 1u, 12u),
                                  decode(state_.cmos[kDay]));
  const i64 seconds = days * static_cast<i64>(kDaySeconds) + hour() * 3600 +
                      decode(state_.cmos[kMinutes]) * 60 + decode(state_.cmos[kSeconds]);
  return static_cast<u64>(std::max<i64>(seconds, 0));
}

void Mc146818::add_second() {
  auto& cmos = state_.cmos;
  // Each register counts on its own; a value the guest made up simply wraps at its end.
  const auto step = [&](u8 index, unsigned first, unsigned last) {
    const unsigned next = decode(cmos[index]) + 1;
    cmos[index] = encode(next > last ? first : next);
    return next > last;
  };
  if (!step(kSeconds, 0, 59) || !step(kMinutes, 0, 59)) return;
  const unsigned next_hour = hour() + 1;
  set_hour(next_hour > 23 ? 0 : next_hour);
  if (next_hour <= 23) return;
  step(kDayOfWeek, 1, 7);
  if (!step(kDay, 1, days_in_month(decode(cmos[kMonth]), decode(cmos[kYear])))) return;
  if (!step(kMonth, 1, 12) || !step(kYear, 0, 99)) return;
  step(kCentury, 0, 99);
}

bool Mc146818::alarm_matches() const {
  const auto matches = [&](u8 time, u8 alarm) {
    return state_.cmos[alarm] >= 0xc0 || state_.cmos[alarm] == state_.cmos[time];
  };
  return matches(kSeconds, kSecondsAlarm) && matches(kMinutes, kMinutesAlarm) &&
         matches(kHours, kHoursAlarm);
}

void Mc146818::advance(u64 seconds) {
  constexpr u64 kOneByOne = 2 * kDaySeconds;
  if (seconds > kOneByOne) {  // a long jump of virtual time: all but the last two days at once
    set_calendar(calendar() + (seconds - kOneByOne));
    seconds = kOneByOne;
  }
  for (; seconds != 0; --seconds) {
    add_second();
    if (alarm_matches()) state_.cmos[kRegC] |= kAlarmBit;
  }
}

void Mc146818::sync() {
  const u64 tick = tick_now();
  if (tick <= state_.last_tick) return;
  const unsigned period = period_ticks();
  if (period != 0 && tick / period != state_.last_tick / period) {
    state_.cmos[kRegC] |= kPeriodicBit;
  }
  const u64 seconds = tick / kTicksPerSecond - state_.last_tick / kTicksPerSecond;
  if (seconds != 0 && (state_.cmos[kRegB] & kSet) == 0) {
    advance(seconds);
    state_.cmos[kRegC] |= kUpdateBit;
  }
  state_.last_tick = tick;
}

void Mc146818::update() {
  auto& cmos = state_.cmos;
  const u8 enabled = cmos[kRegB] & kInterruptBits;
  const bool request = (cmos[kRegC] & enabled) != 0;
  cmos[kRegC] = static_cast<u8>((cmos[kRegC] & ~kIrqFlag) | (request ? kIrqFlag : 0));
  irq8_.set(request);
  timer_.cancel();
  // While the interrupt stands, further flags change nothing until register C is read.
  if (request || enabled == 0 || !divider_running()) return;
  u64 next = ~u64{0};
  if (const unsigned period = period_ticks(); (enabled & kPeriodicBit) != 0 && period != 0) {
    next = (state_.last_tick / period + 1) * period;
  }
  if ((enabled & (kUpdateBit | kAlarmBit)) != 0 && (cmos[kRegB] & kSet) == 0) {
    next = std::min(next, (state_.last_tick / kTicksPerSecond + 1) * kTicksPerSecond);
  }
  if (next != ~u64{0}) timer_.arm_at(ns_of(next));
}

u8 Mc146818::read(u8 index) {
  sync();
  u8 value = state_.cmos[index];
  if (index == kRegA) {
    const u64 left = kTicksPerSecond - state_.last_tick % kTicksPerSecond;
    const bool updating =
        divider_running() && (state_.cmos[kRegB] & kSet) == 0 && left <= kUipTicks;
    value = static_cast<u8>((value & 0x7f) | (updating ? kUpdateInProgress : 0));
  } else if (index == kRegC) {
    update();  // brings IRQF up to date
    value = state_.cmos[kRegC];
    state_.cmos[kRegC] = 0;
    update();
  }
  return value;
}

void Mc146818::write(u8 index, u8 value) {
  sync();
  switch (index) {
    case kRegA: {
      const bool was_running = divider_running();
      state_.cmos[kRegA] = value & 0x7f;
      if (was_running != divider_running()) {
        // "When the divider is removed from reset the first update cycle begins one-half
        // second later."
        state_.base_ns = scheduler_.now();
        state_.base_tick = state_.last_tick / kTicksPerSecond * kTicksPerSecond +
                           (divider_running() ? kTicksPerSecond / 2 : 0);
        state_.last_tick = state_.base_tick;
      }
      break;
    }
    case kRegB:
      if ((value & kSet) != 0) value &= static_cast<u8>(~kUpdateBit);  // SET clears UIE
      state_.cmos[kRegB] = value;
      break;
    case kRegC:
    case kRegD:
      break;  // read-only
    default:
      state_.cmos[index] = value;
      break;
  }
  update();
}

u32 Mc146818::port_read(unsigned, u16 offset, unsigned) {
  if (offset == 0) return 0xff;  // the index register is write-only
  return read(state_.index);
}

void Mc146818::port_write(unsigned, u16 offset, unsigned, u32 value) {
  if (offset == 0) {
    state_.index = value & 0x7f;
    state_.nmi_masked = (value & 0x80) != 0;
    if (nmi_mask_) nmi_mask_(state_.nmi_masked);
  } else {
    write(state_.index, static_cast<u8>(value));
  }
}

}  // namespace dragoman
