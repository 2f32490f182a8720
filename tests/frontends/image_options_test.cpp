// Image formats on the command line.
#include <gtest/gtest.h>

#include "tests/frontends/process.h"

namespace dragoman {
namespace {

bool make(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

void expect_refused(const std::vector<std::string>& arguments, int code,
                    const std::string& remedy) {
  const Finished run = run_dragoman(arguments);
  EXPECT_EQ(run.code, code) << run.err;
  EXPECT_NE(run.err.find(remedy), std::string::npos) << remedy << " not in: " << run.err;
}

TEST(ImageOptions, RefusalsSayWhatToDo) {
  if (!make("command -v qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  const TemporaryDirectory directory;
  const std::string raw = directory.write("raw", std::string(1 << 20, 'x'));
  const std::string top = directory.file("top");
  ASSERT_TRUE(make("qemu-img create -f qcow2 -b " + raw + " -F raw " + top));
  expect_refused({"-hda", top}, 1, "backing=on");
  expect_refused({"-m", "64", top}, 1, "backing=on");
  expect_refused({"-drive", "file=" + raw + ",format=qcow2"}, 1, "right file");
  expect_refused({"-drive", "file=" + raw + ",format=qcow3"}, 2, "use raw, qcow2");
  expect_refused({"-hda", "fat:" + raw}, 1, "leave out fat:");
  expect_refused({"-hda", "fat:rw:" + directory.file("")}, 1, "-snapshot");
}

TEST(ImageOptions, EveryFormatStarts) {
  if (!make("command -v qemu-img")) GTEST_SKIP() << "qemu-img is not installed";
  const TemporaryDirectory directory;
  // A boot sector that ends the program with exit code 2 * 'k' + 1 through port 501h.
  std::string sector("\xba\x01\x05\xb0\x6b\xee\xf4", 7);
  sector.resize(1 << 20);
  sector[510] = '\x55';
  sector[511] = '\xaa';
  const std::string raw = directory.write("raw", sector);
  for (const char* format : {"raw", "qcow2", "vmdk", "vdi", "vpc"}) {
    const std::string image = directory.file(format) + ".image";
    ASSERT_TRUE(
        make("qemu-img convert -f raw -O " + std::string(format) + " " + raw + " " + image));
    for (const bool snapshot : {false, true}) {
      std::vector<std::string> arguments = {"-display",       "none",       "-device",
                                            "isa-debug-exit", "-m",         "32",
                                            "--timeout",      kHangTimeout, image};
      if (snapshot) arguments.insert(arguments.begin(), "-snapshot");
      EXPECT_EQ(run_dragoman(arguments).code, ('k' << 1 | 1) & 0xff) << format << snapshot;
    }
  }
}

}  // namespace
}  // namespace dragoman
