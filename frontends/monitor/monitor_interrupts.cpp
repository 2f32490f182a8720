// `info pic`, `info lapic`: what the registers of the interrupt controllers say, in words.
#include <array>
#include <string_view>

#include "devices/i8259.h"
#include "devices/ioapic.h"
#include "devices/local_apic.h"
#include "frontends/monitor/monitor.h"
#include "frontends/monitor/monitor_arguments.h"

namespace dragoman {
namespace {

constexpr std::array<const char*, 8> kDelivery = {
    "fixed", "lowest priority", "SMI", "(mode 3)", "NMI", "INIT", "SIPI", "ExtINT"};

/// Intel 82093AA, 3.2.4.
std::string redirection_line(unsigned pin, u64 entry) {
  if (entry >> 16 & 1) return fmt::format("  pin {:2}: masked\n", pin);
  return fmt::format("  pin {:2}: vector {:#04x} {}, {}, active {}, to {} {:#04x}{}{}\n", pin,
                     entry & 0xff, kDelivery[entry >> 8 & 7], entry >> 15 & 1 ? "level" : "edge",
                     entry >> 13 & 1 ? "low" : "high", entry >> 11 & 1 ? "logical" : "physical",
                     entry >> 56, entry >> 14 & 1 ? ", waits for EOI" : "",
                     entry >> 12 & 1 ? ", pending" : "");
}

std::string text_of(std::string_view name, const IoapicState& s) {
  std::string text = fmt::format("{}: id={} inputs={:06x}\n", name, s.id >> 24 & 15, s.levels);
  for (unsigned pin = 0; pin < s.redirection.size(); ++pin) {
    text += redirection_line(pin, s.redirection[pin]);
  }
  return text;
}

std::string text_of(std::string_view name, const I8259State& s) {
  std::string text;
  for (const I8259State::Chip& c : s.chip) {
    text += fmt::format(
        "{} {}: irr={:02x} imr={:02x} isr={:02x} elcr={:02x} vectors from {:#04x}\n", name,
        &c == &s.chip[0] ? "master" : "slave", c.irr, c.imr, c.isr, c.elcr, c.vector_base);
  }
  return text;
}

/// The vectors whose bits are set in eight registers of 32.
std::string vectors_text(const std::array<u32, 8>& registers) {
  std::string text;
  for (unsigned vector = 0; vector < 256; ++vector) {
    if (registers[vector / 32] >> vector % 32 & 1) text += fmt::format(" {:#04x}", vector);
  }
  return text.empty() ? " none" : text;
}

/// Intel SDM vol. 3, 11.5.1.
std::string local_vector_line(unsigned number, u32 lvt) {
  static constexpr std::array<const char*, LocalApicState::kLvts> kNames = {
      "timer", "thermal", "performance", "LINT0", "LINT1", "error"};
  static constexpr std::array<const char*, 4> kTimer = {"one-shot", "periodic", "TSC deadline",
                                                        "(reserved)"};
  std::string text = fmt::format("  {:12}", kNames[number]);
  if (lvt >> 16 & 1) {
    text += "masked";
  } else if (number == LocalApicState::kTimer) {
    text += fmt::format("vector {:#04x} {}", lvt & 0xff, kTimer[lvt >> 17 & 3]);
  } else if (const unsigned mode = lvt >> 8 & 7; mode == 0) {
    text += fmt::format("vector {:#04x}", lvt & 0xff);
  } else {
    text += kDelivery[mode];
  }
  if (lvt >> 12 & 1) text += ", pending";
  return text + '\n';
}

std::string text_of(std::string_view name, const LocalApicState& s) {
  std::string text = fmt::format(
      "{}: id={} at {:#x}, {}{}{}\n  tpr={:02x} spurious vector {:#04x} logical id={:08x} "
      "format={:08x} errors={:02x}\n",
      name, s.id, s.base & ~u64{0xfff}, s.base >> 11 & 1 ? "enabled" : "disabled",
      s.base >> 10 & 1 ? ", x2APIC" : "", s.spurious >> 8 & 1 ? "" : ", disabled by software",
      s.tpr, s.spurious & 0xff, s.logical_destination, s.destination_format, s.error_status);
  for (unsigned i = 0; i < s.lvt.size(); ++i) text += local_vector_line(i, s.lvt[i]);
  text += fmt::format("  timer: initial count {}, divide register {:#x}, next at {} ns\n",
                      s.initial_count, s.divide, s.timer_deadline_ns);
  text += "  in service:" + vectors_text(s.isr) + "\n  requested:" + vectors_text(s.irr) +
          "\n  level triggered:" + vectors_text(s.tmr) + '\n';
  return text;
}

/// Of all devices with this state.
template <class State>
std::string states(PcBoard& board) {
  std::string text;
  for (const auto& device : board.devices()) {
    const auto* found = dynamic_cast<const StatefulDevice<State>*>(&*device);
    if (found != nullptr) text += text_of(found->name(), found->state());
  }
  return text;
}

}  // namespace

std::string Monitor::info_pic(Arguments&) {
  PcBoard& board = debugger_.machine().board();
  return states<IoapicState>(board) + states<I8259State>(board);
}

std::string Monitor::info_lapic(Arguments&) {
  const std::string text = states<LocalApicState>(debugger_.machine().board());
  return text.empty() ? "there is none\n" : text;
}

}  // namespace dragoman
