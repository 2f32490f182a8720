// The host ends of serial ports and consoles: nothing, files, the terminal, pseudo terminals,
// TCP connections, and a memory end for tests and programs.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "devices/character/host_character.h"
#include "devices/character/terminal_mode.h"

namespace dragoman {

/// Discards output, gives no input.
class NullCharacter : public HostCharacter {
 public:
  void send(std::span<const u8>) override {}
  void set_receiver(CharacterReceiver*) override {}
  int poll_fd() const override { return -1; }
  bool wants_read() const override { return false; }
  void on_readable() override {}
};

/// Output into a file, truncated when opened.
class FileCharacter : public DescriptorCharacter {
 public:
  static Result<std::unique_ptr<HostCharacter>> open(const std::string& path);
  ~FileCharacter() override;

 private:
  explicit FileCharacter(FileDescriptor file);
  FileDescriptor file_;
};

/// Standard input and output. A terminal is switched to raw mode while the object lives, and
/// back also when the process is ended by a signal or by exit().
class StdioCharacter : public DescriptorCharacter {
 public:
  StdioCharacter();
  ~StdioCharacter() override;

 private:
  TerminalMode terminal_;
};

/// A new pseudo terminal for another program (`screen /dev/pts/N`).
class PtyCharacter : public DescriptorCharacter {
 public:
  static Result<std::unique_ptr<HostCharacter>> open(std::string& slave_name);
  ~PtyCharacter() override;

 private:
  PtyCharacter(FileDescriptor master, FileDescriptor slave);
  void input_ended() override {}  // another program may open the slave later
  void output_failed() override {}
  FileDescriptor master_;
  FileDescriptor slave_;  ///< kept open so that raw mode stays and reads never fail
};

/// A TCP connection: as client to a listening program, or as server for one client at a time;
/// after a client left, the next may come.
class TcpCharacter : public DescriptorCharacter {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    std::string port;
    bool server = false;
    bool wait = true;  ///< server: wait_for_peer() blocks
  };
  static Result<std::unique_ptr<TcpCharacter>> open(const Options& options);
  ~TcpCharacter() override;

  /// The port a server listens on (interesting when 0 was asked for).
  unsigned local_port() const;
  bool connected() const { return connection_.valid(); }
  /// Server that was asked to wait: blocks until the first client is there.
  void wait_for_peer() override;

  int poll_fd() const override;
  bool wants_read() const override;
  void on_readable() override;

 private:
  TcpCharacter() = default;
  void input_ended() override;
  void output_failed() override;
  void accept_client();

  FileDescriptor listener_;
  FileDescriptor connection_;
  bool wait_ = false;
};

/// Both ends in memory: collects output, feeds injected input as fast as the receiver takes it.
class MemoryCharacter : public HostCharacter {
 public:
  void send(std::span<const u8> bytes) override;
  void set_receiver(CharacterReceiver* receiver) override;
  void receiver_ready() override;
  int poll_fd() const override { return -1; }
  bool wants_read() const override { return false; }
  void on_readable() override {}

  const std::string& output() const { return output_; }
  std::string take_output();
  /// Bytes for the receiver; those it cannot take are held.
  void inject(std::string_view bytes);
  std::size_t held() const { return input_.size(); }

 private:
  std::string output_;
  std::deque<u8> input_;
  CharacterReceiver* receiver_ = nullptr;
  bool delivering_ = false;
};

}  // namespace dragoman
