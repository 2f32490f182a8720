// The last events a processor took through the IDT, kept for reports: what a triple fault was the
// end of. Not architectural, not part of a snapshot.
#pragma once

#include <array>

#include "base/types.h"

namespace dragoman {

/// What kind of event went through the IDT.
enum class EventKind : u8 { kException, kExternal, kNmi, kDebugTrap, kSoftware };

/// One event with the state it interrupted.
struct FaultRecord {
  u64 rip = 0;
  u64 rsp = 0;
  u64 cr2 = 0;
  u64 instructions = 0;
  u32 error_code = 0;
  u16 cs = 0;
  u16 ss = 0;
  u8 vector = 0;
  u8 cpl = 0;
  bool has_error_code = false;
  EventKind kind = EventKind::kException;
};

/// Ring of the newest events.
class FaultLog {
 public:
  static constexpr unsigned kCapacity = 16;

  void add(const FaultRecord& record) {
    records_[next_ % kCapacity] = record;
    ++next_;
  }
  unsigned size() const { return next_ < kCapacity ? static_cast<unsigned>(next_) : kCapacity; }
  /// `age` 0 is the newest; must be below size().
  const FaultRecord& newest(unsigned age) const { return records_[(next_ - 1 - age) % kCapacity]; }

 private:
  std::array<FaultRecord, kCapacity> records_{};
  u64 next_ = 0;
};

}  // namespace dragoman
