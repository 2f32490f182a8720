#include "devices/pci/msix.h"

#include "base/assert.h"
#include "base/bits.h"

namespace dragoman {
namespace {
constexpr u8 kMsixCapability = 0x11;
constexpr u16 kEnable = 0x8000;
constexpr u16 kFunctionMask = 0x4000;
}  // namespace

Msix::Msix(PciFunction& function, MsixState& state, MsiSink& sink, unsigned vectors, unsigned bar)
    : function_(function), state_(state), sink_(sink), vectors_(vectors) {
  DRAGOMAN_ASSERT(vectors >= 1 && vectors <= MsixState::kMaxVectors);
  function.add_memory_bar(bar, kPageSize, *this, 0);
  capability_ = function.add_capability(kMsixCapability, 12);
  function.define_register(static_cast<u8>(capability_ + 2), 2, vectors - 1,
                           kEnable | kFunctionMask);
  function.define_register(static_cast<u8>(capability_ + 4), 4, bar, 0);
  function.define_register(static_cast<u8>(capability_ + 8), 4,
                           static_cast<u32>(kPendingOffset) | bar, 0);
}

u16 Msix::control() const {
  return static_cast<u16>(function_.peek_config(static_cast<u8>(capability_ + 2), 2));
}

bool Msix::enabled() const { return (control() & kEnable) != 0; }

bool Msix::masked(unsigned vector) const {
  return (control() & kFunctionMask) != 0 || (state_.table[4 * vector + 3] & 1) != 0;
}

void Msix::notify(unsigned vector) {
  if (vector >= vectors_ || !enabled()) return;
  if (masked(vector)) {
    state_.pending |= bit(vector);
  } else {
    send(vector);
  }
}

void Msix::send(unsigned vector) {
  if (!function_.bus_master() || sending_) return;  // a message is a memory write by the function
  sending_ = true;
  const u64 address = (state_.table[4 * vector] & ~u32{3}) | u64{state_.table[4 * vector + 1]}
                                                                 << 32;
  const u32 data = state_.table[4 * vector + 2];
  if (address >> 20 == 0xfee) {
    sink_.deliver_msi(address, data);
  } else {
    function_.spaces().memory.store<u32>(PhysicalAddress(address), data);
  }
  sending_ = false;
}

void Msix::send_unmasked() {
  if (!enabled()) return;
  for (unsigned vector = 0; vector < vectors_; ++vector) {
    if (!(state_.pending & bit(vector)) || masked(vector)) continue;
    state_.pending &= ~bit(vector);
    send(vector);
  }
}

void Msix::config_written() { send_unmasked(); }

u64 Msix::mmio_read(unsigned /*bank*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i, ++offset) {
    u8 byte = 0;
    if (offset < u64{16} * vectors_) {
      byte = static_cast<u8>(state_.table[offset / 4] >> (8 * (offset % 4)));
    } else if (offset >= kPendingOffset && offset < kPendingOffset + 8) {
      byte = static_cast<u8>(state_.pending >> (8 * (offset - kPendingOffset)));
    }
    value |= u64{byte} << (8 * i);
  }
  return value;
}

void Msix::mmio_write(unsigned /*bank*/, u64 offset, unsigned size, u64 value) {
  for (unsigned i = 0; i < size; ++i, ++offset) {
    if (offset >= u64{16} * vectors_) break;  // the pending bits are read-only
    const unsigned shift = 8 * (offset % 4);
    u32 writable = u32{0xff} << shift;
    if (offset / 4 % 4 == 3) writable &= 1;  // vector control has only the mask bit
    u32& word = state_.table[offset / 4];
    word = (word & ~writable) | (static_cast<u32>((value >> (8 * i)) & 0xff) << shift & writable);
  }
  send_unmasked();
}

}  // namespace dragoman
