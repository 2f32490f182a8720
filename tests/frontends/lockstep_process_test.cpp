// The program with -accel lockstep: firmware and the built-in image are the same on both sides.
#include <gtest/gtest.h>

#include "tests/frontends/process.h"

namespace dragoman {
namespace {

TEST(LockstepProcess, FirmwareAndBuiltInImageAreEqual) {
  const TemporaryDirectory directory;
  const std::string log = directory.file("serial");
  const Finished run = run_dragoman({"-accel", "lockstep,check=10M,threshold=2", "-m", "32",
                                     "-serial", "file:" + log, "-device", "virtio-rng-pci",
                                     "-expect", "> ", "-timeout", kHangTimeout, "-state-hash"});
  EXPECT_EQ(run.code, 0) << run.err;
  EXPECT_NE(run.err.find("instructions "), std::string::npos) << run.err;
  EXPECT_NE(read_file(log).find("> "), std::string::npos);
}

TEST(LockstepProcess, TheTimeoutEndsIt) {
  const Finished run = run_dragoman({"-accel", "lockstep", "-m", "32", "-timeout", "0.5"});
  EXPECT_EQ(run.code, 124) << run.err;
}

}  // namespace
}  // namespace dragoman
