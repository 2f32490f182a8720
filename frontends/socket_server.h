// A listening socket for one client at a time: the ways into a running machine for debuggers and
// control programs.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/poll_source.h"
#include "base/result.h"
#include "devices/character/host_character.h"

namespace dragoman {

class SocketServer final : public PollSource {
 public:
  struct Callbacks {
    std::function<void()> connected;
    std::function<void()> disconnected;
    std::function<void(std::span<const u8>)> received;
  };

  /// Known forms: tcp:[HOST]:PORT and unix:PATH, each with ,server=on and ,wait=on|off (also
  /// ,server and ,nowait). Without HOST it listens on 127.0.0.1 only. `option` is for messages.
  static Result<std::unique_ptr<SocketServer>> open(std::string_view option, std::string_view spec);
  /// Checks the form of a spec without opening anything.
  static Result<void> check(std::string_view option, std::string_view spec);
  ~SocketServer() override;

  void set_callbacks(Callbacks callbacks) { callbacks_ = std::move(callbacks); }
  /// Sends what the client takes now and keeps the rest; of a client that lets a megabyte pile up
  /// the rest is thrown away.
  void send(std::string_view text);
  void drop_client();
  bool connected() const { return client_.valid(); }
  /// The spec did not say nowait.
  bool waits() const { return wait_; }
  /// Blocks until a client came and calls connected(). A signal ends the wait.
  void wait_for_client();
  /// Where it listens, for messages.
  const std::string& address() const { return address_; }
  unsigned port() const { return port_; }

  int poll_fd() const override { return client_.valid() ? client_.get() : listener_.get(); }
  bool wants_write() const override { return client_.valid() && !pending_.empty(); }
  void on_readable() override;
  void on_writable() override { flush(); }

 private:
  SocketServer() = default;
  void accept_client();
  void flush();

  FileDescriptor listener_;
  FileDescriptor client_;
  Callbacks callbacks_;
  std::string pending_;
  std::string address_;
  std::string unix_path_;
  unsigned port_ = 0;
  bool wait_ = false;
};

}  // namespace dragoman
