// Runs the program `dragoman` in a process of its own.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace dragoman {

/// How long a test waits for what must happen: on a host with other work to do everything may take
/// fifty times as long. Only what hangs takes this long.
inline constexpr int kHangSeconds = 300;
/// The same for options.
inline const std::string kHangTimeout = std::to_string(kHangSeconds);

/// A directory of its own that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "dragoman-test-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string file(const std::string& name) const { return path_ / name; }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Finished {
  int code = -1;  ///< exit code; 1000 + signal when a signal ended it, -1 when it had to be killed
  std::string out;
  std::string err;
};

/// Runs build/dragoman without a display of the host and waits for its end.
inline Finished run_dragoman(const std::vector<std::string>& arguments,
                             int seconds = kHangSeconds + 60) {
  TemporaryDirectory directory;
  const std::string out = directory.file("out");
  const std::string err = directory.file("err");
  std::vector<const char*> argv = {DRAGOMAN_BINARY_DIR "/dragoman"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("DISPLAY");
    unsetenv("WAYLAND_DISPLAY");
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    execv(argv[0], const_cast<char**>(argv.data()));
    _exit(127);
  }
  Finished finished;
  int status = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  if (WIFEXITED(status)) {
    finished.code = WEXITSTATUS(status);
  } else if (WTERMSIG(status) != SIGKILL) {
    finished.code = 1000 + WTERMSIG(status);
  }
  finished.out = read_file(out);
  finished.err = read_file(err);
  return finished;
}

}  // namespace dragoman
