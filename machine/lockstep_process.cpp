#include "machine/lockstep_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "base/types.h"

namespace dragoman {
namespace {

/// A part of the address space that shows shared anonymous memory.
struct SharedView {
  u8* begin = nullptr;
  u64 bytes = 0;
  u64 offset = 0;  ///< inside the shared memory
  int protection = PROT_NONE;
};

/// By inode, which is what views of one memory have in common (proc(5), /proc/pid/maps).
std::map<u64, std::vector<SharedView>> shared_views() {
  std::map<u64, std::vector<SharedView>> all;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    u64 begin = 0, end = 0, offset = 0, inode = 0;
    char flags[5] = {};
    int name = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %lu %n", &begin, &end, flags, &offset,
                    &inode, &name) < 5 ||
        flags[3] != 's') {
      continue;
    }
    const std::string path = line.substr(static_cast<std::size_t>(name));
    if (!path.starts_with("/dev/zero") && !path.starts_with("/memfd:")) continue;
    SharedView view;
    view.begin = reinterpret_cast<u8*>(begin);
    view.bytes = end - begin;
    view.offset = offset;
    view.protection = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) |
                      (flags[2] == 'x' ? PROT_EXEC : 0);
    all[inode].push_back(view);
  }
  return all;
}

/// Descriptors of the nameless file with this inode.
std::vector<int> descriptors_of(u64 inode) {
  std::vector<int> found;
  std::error_code problem;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", problem)) {
    const int number = std::atoi(entry.path().filename().c_str());
    struct stat status;
    if (fstat(number, &status) == 0 && status.st_ino == inode && S_ISREG(status.st_mode) &&
        status.st_nlink == 0) {
      found.push_back(number);
    }
  }
  return found;
}

/// What a file holds; where it has nothing yet, reading its pages would give them memory. The
/// host's kernel copies: through mappings every page would cost two faults.
bool copy_file(int from, int to) {
  off_t at = 0;
  while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
    const off_t end = lseek(from, at, SEEK_HOLE);
    if (end < 0 || lseek(to, at, SEEK_SET) < 0) return false;
    while (at < end) {
      if (sendfile(to, from, &at, static_cast<std::size_t>(end - at)) <= 0) return false;
    }
  }
  return errno == ENXIO;  // no data behind
}

void copy_views(std::vector<SharedView> views, u8* to) {
  std::sort(views.begin(), views.end(),
            [](const SharedView& a, const SharedView& b) { return a.offset < b.offset; });
  u64 copied = 0;  // views may overlap; what the first ones showed is not copied again
  for (const SharedView& view : views) {
    const u64 end = view.offset + view.bytes;
    if (!(view.protection & PROT_READ) || end <= copied) continue;
    const u64 skip = view.offset < copied ? copied - view.offset : 0;
    // Pages nobody has touched read as zeros, which the new ones are already: writing to them would
    // only cost memory.
    for (u64 at = skip; at < view.bytes; at += kPageSize) {
      const u8* page = view.begin + at;
      const u64 length = std::min(kPageSize, view.bytes - at);
      const bool zero = page[0] == 0 && std::memcmp(page, page + 1, length - 1) == 0;
      if (!zero) std::memcpy(to + view.offset + at, page, length);
    }
    copied = std::max(copied, end);
  }
}

bool own_views(u64 inode, const std::vector<SharedView>& views) {
  u64 bytes = 0;
  for (const SharedView& view : views) bytes = std::max(bytes, view.offset + view.bytes);
  // A file, of which more views can be made later on (memory/linear_window.h).
  const std::vector<int> descriptors = descriptors_of(inode);
  const int file = memfd_create("copy", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) return false;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (mapped == MAP_FAILED) return false;
  u8* own = static_cast<u8*>(mapped);
  if (descriptors.empty()) {
    copy_views(views, own);
  } else if (!copy_file(descriptors.front(), file)) {
    return false;
  }
  for (const SharedView& view : views) {
    // Old size 0 makes a further view of shared memory (mremap(2)).
    if (mremap(own + view.offset, 0, view.bytes, MREMAP_MAYMOVE | MREMAP_FIXED, view.begin) ==
        MAP_FAILED) {
      return false;
    }
    if (mprotect(view.begin, view.bytes, view.protection) != 0) return false;
  }
  for (const int number : descriptors) {
    if (dup2(file, number) != number) return false;
  }
  return close(file) == 0 && munmap(own, bytes) == 0;
}

/// Without SIGPIPE: the other side may have died.
bool send_all(int socket, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t sent = send(socket, text.data() + done, text.size() - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    done += static_cast<std::size_t>(sent);
  }
  return true;
}

std::string read_all(int descriptor) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(descriptor, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

void wait_for(pid_t child) {
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

/// fork() without output in buffers, which both processes would write.
pid_t copy_process() {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return child;
}

}  // namespace

bool own_shared_memory() {
  for (const auto& [inode, views] : shared_views()) {
    if (!own_views(inode, views)) return false;
  }
  return true;
}

Result<std::unique_ptr<Checkpoint>> Checkpoint::make(
    const std::function<std::string(const std::string&)>& work) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return error("lockstep cannot make a socket: {}; raise the limit of open files",
                 std::strerror(errno));
  }
  const pid_t child = copy_process();
  if (child == 0) {
    close(ends[0]);
    // The byte tells the original that it may change the shared memory again.
    if (!own_shared_memory() || !send_all(ends[1], "+")) _exit(1);
    const std::string message = read_all(ends[1]);
    if (!message.empty()) (void)send_all(ends[1], work(message));
    _exit(0);
  }
  close(ends[1]);
  if (child < 0) {
    const int problem = errno;
    close(ends[0]);
    return error("lockstep cannot copy its process: {}; use a smaller -m", std::strerror(problem));
  }
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint(child, ends[0]));
  char ready;
  ssize_t got;
  do {
    got = read(ends[0], &ready, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) {
    return error("lockstep cannot copy its process: the copy got no memory; use a smaller -m");
  }
  return checkpoint;
}

Checkpoint::~Checkpoint() {
  kill(child_, SIGKILL);  // not yet waited for, so the number is still its own
  close(socket_);
  wait_for(child_);
}

std::string Checkpoint::wake(const std::string& message) {
  if (!send_all(socket_, message) || shutdown(socket_, SHUT_WR) != 0) return {};
  return read_all(socket_);
}

std::optional<bool> ask_copy(const std::function<bool()>& question) {
  const pid_t child = copy_process();
  if (child == 0) _exit(!own_shared_memory() ? 2 : question() ? 1 : 0);
  if (child < 0) return std::nullopt;
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) return std::nullopt;
  return WEXITSTATUS(status) == 1;
}

}  // namespace dragoman
