// All ISA chips of a PC under random port accesses: nothing a guest writes may hang or crash.
#include <random>

#include "devices/i8042.h"
#include "devices/i82077.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/mc146818.h"
#include "devices/port61.h"
#include "devices/ps2_keyboard.h"
#include "devices/ps2_mouse.h"
#include "tests/devices/isa_test_bench.h"
#include "tests/devices/state_test_helper.h"

namespace dragoman {
namespace {

class ZeroImage : public BlockImage {
 public:
  u64 size() const override { return 1440 * kKiB; }
  bool read_only() const override { return false; }
  Result<void> read(u64, std::span<u8> out) override {
    std::fill(out.begin(), out.end(), u8{0});
    return {};
  }
  Result<void> write(u64 offset, std::span<const u8> in) override {
    EXPECT_LE(offset + in.size(), size());
    return {};
  }
  Result<void> flush() override { return {}; }
  const std::string& description() const override { return text_; }

 private:
  std::string text_ = "zeros";
};

TEST(IsaFuzz, RandomPortAccessesEndWell) {
  IsaTestBench bench;
  auto memory = GuestMemory::create(1 * kMiB).take();
  MemoryMap map(*memory, bench.log);
  map.add_memory("ram", PhysicalAddress(0), 1 * kMiB, memory->ram(), true, true, 0);
  I8259Pair pic(bench.log, bench.ports, IrqLine(bench.wires, 0));
  I8254 pit(bench.scheduler, bench.ports, IrqLine(pic, 0));
  Port61 port61(bench.scheduler, bench.ports, pit, IrqLine(bench.wires, 1));
  Mc146818 rtc(bench.scheduler, bench.ports, IrqLine(pic, 8), 0, {});
  I8237Pair dma(bench.log, bench.ports, map);
  Ps2Keyboard keyboard(bench.scheduler, bench.log);
  Ps2Mouse mouse(bench.scheduler, bench.log);
  I8042 controller(bench.scheduler, bench.log, bench.ports, keyboard, mouse, IrqLine(pic, 1),
                   IrqLine(pic, 12), IrqLine(bench.wires, 2), IrqLine(bench.wires, 3));
  I82077 fdc(bench.scheduler, bench.log, bench.ports, dma, IrqLine(pic, 6));
  ZeroImage image;
  fdc.set_media(0, &image);
  constexpr std::array<u16, 26> kPorts{0x20,  0x21, 0xa0, 0xa1, 0x40,  0x41,  0x42,  0x43,  0x61,
                                       0x70,  0x71, 0x60, 0x64, 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f5,
                                       0x3f7, 0x0a, 0x0b, 0x0c, 0x0f,  0xd4,  0xd6,  0x81};
  std::mt19937 random(1);
  for (int i = 0; i < 100'000; ++i) {
    const u32 r = random();
    const u16 port = kPorts[r % kPorts.size()];
    if ((r & 0x10000) != 0) {
      bench.in(port);
    } else {
      bench.out(port, static_cast<u8>(r >> 24));
    }
    if ((r & 0xe0000) == 0) keyboard.key(static_cast<Key>(r >> 24), (r & 0x100) != 0);
    if ((r & 0xe0000) == 0x20000) mouse.move(static_cast<i8>(r >> 24), static_cast<i8>(r), 1);
    if ((r & 0xe0000) == 0x40000) bench.run_for(r >> 14);
    if ((r & 0xfe0000) == 0x60000) bench.jump_for(u64{r} << 8);
    if (pic.pending()) pic.acknowledge();
  }
  // After all that the chips still work once they are set up properly.
  bench.out(0x43, 0x34);
  bench.out(0x40, 0x10);
  bench.out(0x40, 0x00);
  bench.run_for(100'000);
  bench.out(0x43, 0x00);
  EXPECT_LE(bench.in(0x40), 0x10);
  std::vector<u8> saved;
  fdc.save(saved);
  std::span<const u8> input(saved);
  EXPECT_TRUE(fdc.load(input).ok());
}

}  // namespace
}  // namespace dragoman
