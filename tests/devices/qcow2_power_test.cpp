// qcow2 images when the machine is killed and when the host loses power.
#include <signal.h>
#include <sys/mman.h>

#include <set>

#include "tests/devices/image_test_bench.h"

namespace dragoman {
namespace {

class Qcow2Power : public ImageTest {
 protected:
  std::vector<u8> fresh_image(const std::string& options, const std::string& size) {
    EXPECT_EQ(shell("qemu-img create -f qcow2 " + options + " " + path("fresh") + " " + size), 0);
    return file_bytes(path("fresh"));
  }
};

constexpr u64 kDisk = 8 * 1024 * 1024;
constexpr u64 kUnit = 4096;

/// What a guest did: writes of one unit each with a value of their own, and flushes.
struct Guest {
  std::vector<u32> last_written = std::vector<u32>(kDisk / kUnit);
  std::vector<u32> last_flushed = std::vector<u32>(kDisk / kUnit);
};

std::vector<u8> unit_of(u32 value) {
  std::vector<u8> bytes(kUnit);
  for (u64 i = 0; i < kUnit; i += 4) std::memcpy(&bytes[i], &value, 4);
  return bytes;
}

/// Every sector holds one value from what was flushed last to what was written last. A unit may be
/// torn between its sectors, as on a real disk.
void expect_flushed(BlockImage& image, const Guest& at_flush,
                    const std::vector<std::vector<u32>>& later, const std::string& where) {
  std::vector<u8> sector(512);
  for (u64 at = 0; at < kDisk; at += sector.size()) {
    const u64 u = at / kUnit;
    ASSERT_TRUE(image.read(at, sector).ok());
    u32 value = 0;
    std::memcpy(&value, sector.data(), 4);
    const std::vector<u8> whole = unit_of(value);
    ASSERT_TRUE(std::equal(sector.begin(), sector.end(), whole.begin()))
        << where << ": torn " << at;
    const bool good = value == at_flush.last_flushed[u] ||
                      std::find(later[u].begin(), later[u].end(), value) != later[u].end();
    ASSERT_TRUE(good) << where << ": unit " << u << " holds " << value << ", flushed was "
                      << at_flush.last_flushed[u];
  }
}

// The writes that reached the disk are those before the last sync and any choice of the others.
void cut_points(std::vector<u8> start, bool version2, unsigned seed, int cuts) {
  std::vector<MemoryFile::Operation> operations;
  struct Mark {
    std::size_t operation;
    u64 unit;  // ~0: a flush ended here
    u32 value;
  };
  std::vector<Mark> marks;
  std::mt19937 random(seed);
  {
    auto opened =
        open_image(std::make_unique<MemoryFile>(start, ImageAccess::kReadWrite, &operations), {});
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    for (u32 value = 1; value <= 300; ++value) {
      const u64 unit = random() % (kDisk / kUnit);
      marks.push_back({operations.size(), unit, value});
      ASSERT_TRUE((*opened)->write(unit * kUnit, unit_of(value)).ok());
      if (random() % 8 == 0) {
        ASSERT_TRUE((*opened)->flush().ok());
        marks.push_back({operations.size(), ~u64{0}, 0});
      }
    }
  }
  for (int cut = 0; cut < cuts; ++cut) {
    const std::size_t end = random() % (operations.size() + 1);
    const bool kill = cut % 2 == 0;  // the host goes on: everything before the end is there
    std::size_t synced = end;
    while (!kill && synced > 0 && !operations[synced - 1].bytes.empty()) --synced;
    std::vector<u8> bytes = start;
    for (std::size_t i = 0; i < end; ++i) {
      if (operations[i].bytes.empty() || (i >= synced && random() % 2 == 0)) continue;
      MemoryFile::apply(operations[i], bytes);
    }
    Guest guest;
    std::vector<std::vector<u32>> later(kDisk / kUnit);
    for (const Mark& mark : marks) {
      if (mark.operation > end) break;
      if (mark.unit == ~u64{0}) {
        guest.last_flushed = guest.last_written;
        for (auto& values : later) values.clear();
      } else {
        guest.last_written[mark.unit] = mark.value;
        later[mark.unit].push_back(mark.value);
      }
    }
    const std::string where = fmt::format("cut {} after operation {} of {}, {}", cut, end,
                                          operations.size(), kill ? "killed" : "power lost");
    // Version 2 cannot say that it was in use, so its opening finds any error by itself.
    auto again = open_image(std::make_unique<MemoryFile>(bytes), {});
    ASSERT_TRUE(again.ok()) << where << ": " << again.error().message;
    expect_flushed(**again, guest, later, where);
    if (kill) {
      // No tool that only reads sees an error: without the dirty bit the opening is strict.
      if (!version2) bytes[79] = static_cast<u8>(bytes[79] & ~1);
      auto strict = open_image(std::make_unique<MemoryFile>(bytes), {});
      ASSERT_TRUE(strict.ok()) << where << ": " << strict.error().message;
    }
  }
}

TEST_F(Qcow2Power, FiveHundredCutPoints) {
  SKIP_WITHOUT("qemu-img");
  cut_points(fresh_image("", "8M"), false, 1, 150);
  cut_points(fresh_image("-o cluster_size=512", "8M"), false, 2, 120);
  cut_points(fresh_image("-o cluster_size=4k,refcount_bits=1", "8M"), false, 3, 120);
  cut_points(fresh_image("-o compat=0.10,cluster_size=4k", "8M"), true, 4, 120);
}

TEST_F(Qcow2Power, CutPointsWithASnapshot) {
  SKIP_WITHOUT("qemu-img");
  fresh_image("-o cluster_size=16k", "8M");
  {
    auto image = open(path("fresh"));
    ASSERT_TRUE(image->write(0, std::vector<u8>(kDisk)).ok());
  }
  ASSERT_EQ(shell("qemu-img snapshot -c one " + path("fresh")), 0);
  cut_points(file_bytes(path("fresh")), false, 5, 60);
}

/// A process that writes until it is killed, and tells in shared memory how far it came.
struct Progress {
  u32 written = 0;  // values 1..written are in the image
  u32 flushed = 0;
};

TEST_F(Qcow2Power, CheckedAfterKill) {
  SKIP_WITHOUT("qemu-img");
  auto* progress = static_cast<Progress*>(
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(static_cast<void*>(progress), MAP_FAILED);
  std::mt19937 random(77);
  for (int round = 0; round < 12; ++round) {
    static constexpr const char* kOptions[] = {"", "-o cluster_size=512", "-o cluster_size=4k",
                                               "-o compat=0.10,cluster_size=4k"};
    fresh_image(kOptions[round % 4], "8M");
    *progress = {};
    const u32 seed = static_cast<u32>(random());
    const u32 until = 1 + static_cast<u32>(random() % 600);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto image = open_image(path("fresh"), {});
      if (!image) _exit(1);
      std::mt19937 units(seed);
      for (u32 value = 1;; ++value) {
        if (!(*image)->write(units() % (kDisk / kUnit) * kUnit, unit_of(value))) _exit(1);
        __atomic_store_n(&progress->written, value, __ATOMIC_RELEASE);
      }
    }
    int status = 0;
    while (__atomic_load_n(&progress->written, __ATOMIC_ACQUIRE) < until &&
           waitpid(child, &status, WNOHANG) == 0) {
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed";
    // 0 is clean, 3 are clusters that are counted and not used: the write in flight.
    const int check = shell("qemu-img check " + path("fresh"));
    EXPECT_TRUE(check == 0 || check == 3) << "round " << round << ": qemu-img check gave " << check;
    {
      auto image = open(path("fresh"));
      ASSERT_NE(image, nullptr);
      std::mt19937 units(seed);
      std::vector<u32> expected(kDisk / kUnit);
      for (u32 value = 1; value <= progress->written; ++value) {
        expected[units() % (kDisk / kUnit)] = value;
      }
      const u64 in_flight = units() % (kDisk / kUnit);
      std::vector<u8> unit(kUnit);
      for (u64 u = 0; u < expected.size(); ++u) {
        if (u == in_flight) continue;
        ASSERT_TRUE(image->read(u * kUnit, unit).ok());
        ASSERT_TRUE(unit == unit_of(expected[u])) << "round " << round << " unit " << u;
      }
    }
    EXPECT_EQ(shell("qemu-img check " + path("fresh")), 0) << "opening it frees what was left";
  }
  munmap(progress, sizeof(Progress));
}

}  // namespace
}  // namespace dragoman
