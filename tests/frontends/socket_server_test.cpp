// Where gdb, monitors and QMP listen: on loopback, unless a host is named.
#include "frontends/socket_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <set>
#include <string>
#include <vector>

namespace dragoman {
namespace {

/// Addresses this process listens on.
std::multiset<std::string> listening() {
  std::multiset<std::string> found;
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return found;
  while (const dirent* entry = readdir(directory)) {
    const int fd = std::atoi(entry->d_name);
    int listens = 0;
    socklen_t size = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) continue;
    sockaddr_storage address{};
    size = sizeof(address);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    char text[INET6_ADDRSTRLEN] = "other";
    if (address.ss_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(address).sin_addr, text, sizeof(text));
    } else if (address.ss_family == AF_INET6) {
      inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(address).sin6_addr, text, sizeof(text));
    }
    found.insert(text);
  }
  closedir(directory);
  return found;
}

TEST(SocketServer, ListensOnLoopbackUnlessAHostIsNamed) {
  ASSERT_TRUE(listening().empty());
  std::vector<std::unique_ptr<SocketServer>> servers;
  for (const char* place : {"tcp::0", "tcp:0", "tcp:127.0.0.1:0", "tcp:localhost:0"}) {
    auto server = SocketServer::open("-gdb", place);
    ASSERT_TRUE(server) << server.error().message;
    servers.push_back(server.take());
  }
  const auto addresses = listening();
  EXPECT_EQ(addresses.size(), 4u);
  for (const std::string& address : addresses) {
    EXPECT_TRUE(address == "127.0.0.1" || address == "::1") << address;
  }
  servers.clear();
  // This is how it looks when it is asked for.
  auto open = SocketServer::open("-gdb", "tcp:0.0.0.0:0");
  ASSERT_TRUE(open);
  EXPECT_EQ(listening().count("0.0.0.0"), 1u);
}

}  // namespace
}  // namespace dragoman
