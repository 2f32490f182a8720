#include "cpu/execute/host/x87_control.h"

#include <cstring>

#include "cpu/execute/dispatch.h"
#include "cpu/execute/host/x87.h"
#include "cpu/execute/operands.h"

namespace dragoman {
namespace {

constexpr unsigned kRegisterBytes = 80;  // eight registers of ten bytes in FNSAVE images

/// Environment image (SDM vol. 1, figures 8-9 to 8-12).
class Environment {
 public:
  Environment(const Cpu& cpu, const Instruction& insn)
      : wide_(insn.operand_size != 2), protected_(cpu.protected_mode() && !cpu.v86()) {}

  unsigned bytes() const { return wide_ ? 28 : 14; }

  void store(const FpuState& fpu, u8* image) const {
    const u32 ip = static_cast<u32>(fpu.fip), dp = static_cast<u32>(fpu.fdp);
    put(image, 0, fpu.control);
    put(image, 1, fpu.status);
    put(image, 2, full_tag_word(fpu));
    if (protected_) {
      if (wide_) {
        put32(image, 3, ip);
        put32(image, 4, u32{fpu.fcs} | u32{fpu.opcode & 0x7ffu} << 16);
        put32(image, 5, dp);
      } else {
        put(image, 3, static_cast<u16>(ip));
        put(image, 4, fpu.fcs);
        put(image, 5, static_cast<u16>(dp));
      }
      put(image, 6, fpu.fds);
      return;
    }
    // Real-address format: linear addresses.
    const u32 linear_ip = ip + (u32{fpu.fcs} << 4);
    const u32 linear_dp = dp + (u32{fpu.fds} << 4);
    put(image, 3, static_cast<u16>(linear_ip));
    put(image, 5, static_cast<u16>(linear_dp));
    if (wide_) {
      put32(image, 4, (linear_ip >> 16 & 0xffff) << 12 | (fpu.opcode & 0x7ffu));
      put32(image, 6, (linear_dp >> 16 & 0xffff) << 12);
    } else {
      put(image, 4, static_cast<u16>((linear_ip >> 16 & 0xf) << 12 | (fpu.opcode & 0x7ffu)));
      put(image, 6, static_cast<u16>((linear_dp >> 16 & 0xf) << 12));
    }
  }

  void load(FpuState& fpu, const u8* image) const {
    fpu.control = static_cast<u16>((get(image, 0) & kX87ControlMask) | kX87ControlFixed);
    fpu.status = static_cast<u16>(get(image, 1));
    fpu.tag = abridged_tags(static_cast<u16>(get(image, 2)));
    if (protected_) {
      fpu.fip = wide_ ? get32(image, 3) : get(image, 3);
      fpu.fcs = static_cast<u16>(get(image, 4));
      fpu.opcode = wide_ ? static_cast<u16>(get32(image, 4) >> 16 & 0x7ff) : 0;
      fpu.fdp = wide_ ? get32(image, 5) : get(image, 5);
      fpu.fds = static_cast<u16>(get(image, 6));
      return;
    }
    const u32 upper_mask = wide_ ? 0xffff : 0xf;
    const u32 upper_ip = wide_ ? get32(image, 4) : get(image, 4);
    const u32 upper_dp = wide_ ? get32(image, 6) : get(image, 6);
    fpu.fip = get(image, 3) | (upper_ip >> 12 & upper_mask) << 16;
    fpu.fdp = get(image, 5) | (upper_dp >> 12 & upper_mask) << 16;
    fpu.fcs = fpu.fds = 0;
    fpu.opcode = static_cast<u16>(upper_ip & 0x7ff);
  }

 private:
  // Fields have 16 bits; in 32-bit images each is followed by 16 reserved bits, stored as ones.
  void put(u8* image, unsigned index, u16 value) const {
    if (wide_) {
      put32(image, index, 0xffff0000u | value);
    } else {
      std::memcpy(image + 2 * index, &value, 2);
    }
  }
  static void put32(u8* image, unsigned index, u32 value) {
    std::memcpy(image + 4 * index, &value, 4);
  }
  u32 get(const u8* image, unsigned index) const {
    u16 value;
    std::memcpy(&value, image + (wide_ ? 4 : 2) * index, 2);
    return value;
  }
  static u32 get32(const u8* image, unsigned index) {
    u32 value;
    std::memcpy(&value, image + 4 * index, 4);
    return value;
  }

  bool wide_;
  bool protected_;
};

}  // namespace

bool x87_fnstcw(Cpu& cpu, const Instruction& insn) {
  return write_rm<u16>(cpu, insn, cpu.state.fpu.control);
}

bool x87_fldcw(Cpu& cpu, const Instruction& insn) {
  u16 value;
  if (!check_x87_error(cpu) || !read_rm<u16>(cpu, insn, value)) return false;
  cpu.state.fpu.control = static_cast<u16>((value & kX87ControlMask) | kX87ControlFixed);
  update_x87_summary(cpu);
  return true;
}

bool x87_fnstsw_memory(Cpu& cpu, const Instruction& insn) {
  return write_rm<u16>(cpu, insn, cpu.state.fpu.status);
}

bool x87_fnstsw_ax(Cpu& cpu, const Instruction&) {
  set_register<u16>(cpu, kRax, cpu.state.fpu.status);
  return true;
}

bool x87_fnclex(Cpu& cpu, const Instruction&) {
  cpu.state.fpu.status &= static_cast<u16>(~(kX87Exceptions | kX87StackFault));
  update_x87_summary(cpu);
  return true;
}

bool x87_fninit(Cpu& cpu, const Instruction&) {
  initialize_x87(cpu);
  return true;
}

bool x87_fnstenv(Cpu& cpu, const Instruction& insn) {
  const Environment environment(cpu, insn);
  std::array<u8, 28> image{};
  FpuState& fpu = cpu.state.fpu;
  environment.store(fpu, image.data());
  if (!cpu.write_block(insn.segment, effective_address(cpu, insn), image.data(),
                       environment.bytes())) {
    return false;
  }
  fpu.control |= kX87Exceptions;
  update_x87_summary(cpu);
  return true;
}

bool x87_fldenv(Cpu& cpu, const Instruction& insn) {
  const Environment environment(cpu, insn);
  std::array<u8, 28> image;
  if (!check_x87_error(cpu) || !cpu.read_block(insn.segment, effective_address(cpu, insn),
                                               image.data(), environment.bytes())) {
    return false;
  }
  environment.load(cpu.state.fpu, image.data());
  update_x87_summary(cpu);
  return true;
}

bool x87_fnsave(Cpu& cpu, const Instruction& insn) {
  const Environment environment(cpu, insn);
  std::array<u8, 28 + kRegisterBytes> image{};
  const FpuState& fpu = cpu.state.fpu;
  environment.store(fpu, image.data());
  const unsigned top = (fpu.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(image.data() + environment.bytes() + 10 * i, fpu.st[(top + i) & 7].data(), 10);
  }
  if (!cpu.write_block(insn.segment, effective_address(cpu, insn), image.data(),
                       environment.bytes() + kRegisterBytes)) {
    return false;
  }
  initialize_x87(cpu);
  return true;
}

bool x87_frstor(Cpu& cpu, const Instruction& insn) {
  const Environment environment(cpu, insn);
  std::array<u8, 28 + kRegisterBytes> image;
  if (!check_x87_error(cpu) ||
      !cpu.read_block(insn.segment, effective_address(cpu, insn), image.data(),
                      environment.bytes() + kRegisterBytes)) {
    return false;
  }
  FpuState& fpu = cpu.state.fpu;
  environment.load(fpu, image.data());
  const unsigned top = (fpu.status >> 11) & 7;
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(fpu.st[(top + i) & 7].data(), image.data() + environment.bytes() + 10 * i, 10);
  }
  update_x87_summary(cpu);
  return true;
}

bool x87_ignored(Cpu&, const Instruction&) { return true; }

// --- WAIT, EMMS --------------------------------------------------------------------------------

namespace {

bool fwait(Cpu& cpu, const Instruction&) { return check_x87_error(cpu); }

bool emms(Cpu& cpu, const Instruction&) {
  if (!check_x87_error(cpu)) return false;
  enter_mmx(cpu.state.fpu);  // TOP becomes 0 (SDM vol. 1, table 9-3)
  cpu.state.fpu.tag = 0;
  return true;
}

}  // namespace

Handler select_Fwait(const Instruction&) { return fwait; }
Handler select_Emms(const Instruction&) { return emms; }

}  // namespace dragoman
