// Host character back ends, the multiplexer and the expect tee.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "devices/character/backends.h"
#include "devices/character/expect.h"
#include "devices/character/mux.h"
#include "devices/character/open_character.h"

namespace dragoman {
namespace {

std::span<const u8> bytes(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

class Receiver : public CharacterReceiver {
 public:
  unsigned can_receive() override { return room; }
  void receive(std::span<const u8> in) override {
    EXPECT_LE(in.size(), room);
    got.append(in.begin(), in.end());
    room -= static_cast<unsigned>(in.size());
  }
  unsigned room = 1000;
  std::string got;
};

void wait_readable(const PollSource& source) {
  pollfd entry{source.poll_fd(), POLLIN, 0};
  ASSERT_EQ(poll(&entry, 1, 2000), 1);
}

std::string temporary_path(const char* name) {
  return testing::TempDir() + "dragoman_" + std::to_string(getpid()) + "_" + name;
}

std::string read_text(int fd, std::size_t size) {
  std::string text;
  while (text.size() < size) {
    pollfd entry{fd, POLLIN, 0};
    if (poll(&entry, 1, 2000) != 1) break;
    char buffer[4096];
    const ssize_t count = read(fd, buffer, std::min(size - text.size(), sizeof(buffer)));
    if (count <= 0) break;
    text.append(buffer, static_cast<std::size_t>(count));
  }
  return text;
}

TEST(OpenCharacter, ExplainsWhatItDoesNotKnow) {
  for (const char* spec : {"", "bogus", "file:", "tcp:host", "tcp:h:1,fast", "stdio2"}) {
    const auto result = open_character(spec);
    ASSERT_FALSE(result.ok()) << spec;
    EXPECT_FALSE(result.error().message.empty());
  }
  EXPECT_NE(open_character("bogus").error().message.find("mon:stdio"), std::string::npos);
  EXPECT_FALSE(open_character("file:/nonexistent/directory/x").ok());
}

TEST(OpenCharacter, TellsAboutMux) {
  auto plain = open_character("null");
  ASSERT_TRUE(plain.ok());
  EXPECT_FALSE(plain->multiplexed);
  EXPECT_EQ(plain->backend->poll_fd(), -1);
  auto mux = open_character("mon:null");
  ASSERT_TRUE(mux.ok());
  EXPECT_TRUE(mux->multiplexed);
}

TEST(FileCharacter, KeepsAllOutput) {
  const std::string path = temporary_path("file");
  std::string expected;
  {
    auto opened = open_character("file:" + path);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    for (int i = 0; i < 20000; ++i) {
      const std::string piece = std::to_string(i) + "\n";
      opened->backend->send(bytes(piece));
      expected += piece;
    }
  }
  std::ifstream in(path);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, expected);
  std::remove(path.c_str());
}

TEST(PtyCharacter, CarriesBothDirections) {
  auto opened = open_character("pty");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const std::string slave = opened->notice.substr(opened->notice.find("/dev/"));
  FileDescriptor terminal(open(slave.c_str(), O_RDWR | O_NOCTTY));
  ASSERT_TRUE(terminal.valid()) << slave;
  Receiver receiver;
  receiver.room = 3;
  opened->backend->set_receiver(&receiver);
  opened->backend->send(bytes("out\r\n"));
  opened->backend->flush();
  EXPECT_EQ(read_text(terminal.get(), 5), "out\r\n");  // raw: nothing is translated
  ASSERT_EQ(write(terminal.get(), "input", 5), 5);
  wait_readable(*opened->backend);
  opened->backend->on_readable();
  EXPECT_EQ(receiver.got, "inp");
  EXPECT_FALSE(opened->backend->wants_read());
  receiver.room = 10;
  opened->backend->receiver_ready();
  EXPECT_EQ(receiver.got, "input");
}

TEST(PtyCharacter, NobodyReadingDoesNotBlockForEver) {
  auto opened = open_character("pty");
  ASSERT_TRUE(opened.ok());
  const std::string piece(1024, 'x');
  for (int i = 0; i < 4096; ++i) opened->backend->send(bytes(piece));
}

TEST(TcpCharacter, ServerAndClientTalkAndReconnect) {
  auto server = TcpCharacter::open({.port = "0", .server = true, .wait = false});
  ASSERT_TRUE(server.ok()) << server.error().message;
  TcpCharacter& end = *server.value();
  Receiver at_server;
  end.set_receiver(&at_server);
  end.send(bytes("nobody hears this"));
  end.wait_for_peer();  // nowait: returns
  for (int round = 0; round < 2; ++round) {
    auto client = open_character("tcp:127.0.0.1:" + std::to_string(end.local_port()));
    ASSERT_TRUE(client.ok()) << client.error().message;
    wait_readable(end);
    end.on_readable();
    ASSERT_TRUE(end.connected());
    Receiver at_client;
    client->backend->set_receiver(&at_client);
    end.send(bytes("hello"));
    end.flush();
    wait_readable(*client->backend);
    client->backend->on_readable();
    EXPECT_EQ(at_client.got, "hello");
    client->backend->send(bytes("back"));
    client->backend->flush();
    wait_readable(end);
    end.on_readable();
    EXPECT_EQ(at_server.got, "back");
    at_server.got.clear();
    client->backend.reset();  // the peer leaves
    wait_readable(end);
    end.on_readable();
    EXPECT_FALSE(end.connected());
    end.send(bytes("dropped"));
    end.flush();
  }
}

TEST(TcpCharacter, RefusedConnectionIsAnError) {
  std::string port;
  {
    auto server = TcpCharacter::open({.port = "0", .server = true});
    ASSERT_TRUE(server.ok());
    port = std::to_string(server.value()->local_port());
  }
  const auto client = open_character("tcp::" + port);
  ASSERT_FALSE(client.ok());
  EXPECT_NE(client.error().message.find("127.0.0.1:" + port), std::string::npos);
}

/// Runs `body` in a child whose standard input and output are the given descriptors.
template <class Body>
pid_t run_child(int in, int out, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    dup2(in, 0);
    dup2(out, 1);
    body();
    _exit(0);
  }
  return child;
}

TEST(StdioCharacter, ReaderThatLeftDoesNotKill) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  FileDescriptor null(open("/dev/null", O_RDONLY));
  close(pipe_fds[0]);
  const pid_t child = run_child(null.get(), pipe_fds[1], [] {
    StdioCharacter stdio;
    Receiver receiver;
    stdio.set_receiver(&receiver);
    stdio.on_readable();  // end of file
    if (stdio.wants_read()) _exit(2);
    for (int i = 0; i < 3; ++i) {
      stdio.send(bytes("text"));
      stdio.flush();
    }
  });
  close(pipe_fds[1]);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// A child with a terminal of its own that switches it to raw mode, says so, and ends by `how`.
template <class How>
void check_terminal_restored(How how) {
  FileDescriptor master(posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(master.valid());
  ASSERT_EQ(grantpt(master.get()), 0);
  ASSERT_EQ(unlockpt(master.get()), 0);
  const std::string name = ptsname(master.get());
  FileDescriptor slave(open(name.c_str(), O_RDWR | O_NOCTTY));
  ASSERT_TRUE(slave.valid());
  termios before{};
  ASSERT_EQ(tcgetattr(slave.get(), &before), 0);
  int report[2];
  ASSERT_EQ(pipe(report), 0);
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    const int terminal = open(name.c_str(), O_RDWR);  // becomes the controlling terminal
    dup2(terminal, 0);
    {
      StdioCharacter stdio;
      termios mode{};
      tcgetattr(0, &mode);
      const char raw = (mode.c_lflag & ICANON) ? 'n' : 'y';
      if (write(report[1], &raw, 1) != 1) _exit(3);
      how();
    }
    _exit(0);
  }
  close(report[1]);
  EXPECT_EQ(read_text(report[0], 1), "y");
  close(report[0]);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  termios after{};
  ASSERT_EQ(tcgetattr(slave.get(), &after), 0);
  EXPECT_EQ(after.c_lflag, before.c_lflag);
  EXPECT_EQ(after.c_iflag, before.c_iflag);
}

TEST(StdioCharacter, RestoresTheTerminalAtItsEnd) {
  check_terminal_restored([] {});
}
TEST(StdioCharacter, RestoresTheTerminalOnExit) {
  check_terminal_restored([] { exit(0); });
}
TEST(StdioCharacter, RestoresTheTerminalOnASignal) {
  check_terminal_restored([] {
    raise(SIGTERM);
    pause();
  });
}

struct Muxed : testing::Test {
  MemoryCharacter host;
  int quits = 0;
  int breaks = 0;
  CharacterMux mux{host, {.quit = [this] { ++quits; }, .send_break = [this] { ++breaks; }}};
  Receiver serial;
  Receiver monitor;
  Muxed() {
    mux.channel(CharacterMux::kSerial).set_receiver(&serial);
    mux.channel(CharacterMux::kMonitor).set_receiver(&monitor);
  }
};

TEST_F(Muxed, SwitchesFocus) {
  host.inject(
      "ls\x01"
      "cinfo\x01"
      "Cpwd");
  EXPECT_EQ(serial.got, "lspwd");
  EXPECT_EQ(monitor.got, "info");
  mux.channel(CharacterMux::kSerial).send(bytes("S"));
  mux.channel(CharacterMux::kMonitor).send(bytes("M"));
  EXPECT_EQ(host.output(), "SM");
}

TEST_F(Muxed, Commands) {
  host.inject("\x01");
  host.inject("\x01");
  EXPECT_EQ(serial.got, "\x01");
  host.inject(
      "\x01"
      "b");
  EXPECT_EQ(breaks, 1);
  host.inject(
      "\x01"
      "h");
  EXPECT_NE(host.output().find("quit"), std::string::npos);
  EXPECT_EQ(quits, 0);
  host.inject(
      "\x01"
      "x");
  EXPECT_EQ(quits, 1);
  EXPECT_EQ(serial.got, "\x01");
}

TEST_F(Muxed, EscapesWorkWhileTheGuestDoesNotRead) {
  serial.room = 0;
  host.inject(
      "typed\x01"
      "x");
  EXPECT_EQ(quits, 1);
  EXPECT_EQ(serial.got, "");
  serial.room = 100;
  mux.channel(CharacterMux::kSerial).receiver_ready();
  EXPECT_EQ(serial.got, "typed");
}

TEST_F(Muxed, LongPasteIsHeldByTheHost) {
  serial.room = 0;
  host.inject(std::string(10000, 'x'));
  EXPECT_EQ(host.held(), 10000u - 4096u);
  serial.room = 20000;
  mux.channel(CharacterMux::kSerial).receiver_ready();
  EXPECT_EQ(serial.got.size(), 10000u);
}

TEST(ExpectTee, FindsTextAcrossWritesOnce) {
  MemoryCharacter host;
  int matches = 0;
  ExpectTee tee(host, "aab", [&] { ++matches; });
  for (const char* piece : {"xa", "a", "a", "c a", "aa"}) tee.send(bytes(piece));
  EXPECT_EQ(matches, 0);
  tee.send(bytes("b aab"));
  EXPECT_EQ(matches, 1);
  EXPECT_TRUE(tee.has_matched());
  EXPECT_EQ(host.output(), "xaaac aaab aab");
  Receiver receiver;
  tee.set_receiver(&receiver);
  host.inject("in");
  EXPECT_EQ(receiver.got, "in");
}

TEST(ExpectTee, EmptyTextNeverMatches) {
  MemoryCharacter host;
  int matches = 0;
  ExpectTee tee(host, "", [&] { ++matches; });
  tee.send(bytes("anything"));
  EXPECT_EQ(matches, 0);
}

}  // namespace
}  // namespace dragoman
