// Byte streams between a device (serial port, console) and the host.
#pragma once

#include <span>

#include "base/types.h"

namespace dragoman {

/// Device side: where bytes from the host go.
class CharacterReceiver {
 public:
  virtual ~CharacterReceiver() = default;
  /// Bytes the device can take now; the host keeps the rest.
  virtual unsigned can_receive() = 0;
  virtual void receive(std::span<const u8> bytes) = 0;
};

/// Host side: a terminal, file, pty, socket or nothing.
class CharacterBackend {
 public:
  virtual ~CharacterBackend() = default;
  /// Sends bytes to the host. Never blocks for long, never fails towards the guest.
  virtual void send(std::span<const u8> bytes) = 0;
  /// At most one receiver; null detaches.
  virtual void set_receiver(CharacterReceiver* receiver) = 0;
  /// The modem control outputs of a serial port; called on every change.
  virtual void set_modem_lines(bool data_terminal_ready, bool request_to_send) {
    (void)data_terminal_ready;
    (void)request_to_send;
  }
  /// The receiver's can_receive() may have grown: deliver held bytes.
  virtual void receiver_ready() {}
};

}  // namespace dragoman
