// Intel 8237A DMA controllers, two of them cascaded, with the page registers of a PC/AT.
// Datasheets: Intel 231466 (8237A), Intel 290550 (PIIX3) section 5.6; port 80h is the POST code.
#pragma once

#include <array>
#include <span>

#include "base/log.h"
#include "devices/device.h"
#include "memory/memory_map.h"
#include "memory/port_map.h"

namespace dragoman {

struct I8237State {
  struct Channel {
    u16 base_address = 0;
    u16 base_count = 0;
    u16 address = 0;
    u16 count = 0;
    u8 mode = 0;  // bits 7:2 as written
    bool masked = true;
    bool requested = false;  // DREQ
    bool software_request = false;
    static constexpr auto fields() {
      return std::tuple{Field{"base_address", &Channel::base_address},
                        Field{"base_count", &Channel::base_count},
                        Field{"address", &Channel::address},
                        Field{"count", &Channel::count},
                        Field{"mode", &Channel::mode},
                        Field{"masked", &Channel::masked},
                        Field{"requested", &Channel::requested},
                        Field{"software_request", &Channel::software_request}};
    }
  };
  struct Controller {
    u8 command = 0;
    u8 terminal_counts = 0;  // status bits 3:0
    bool high_byte = false;  // the byte pointer flip-flop
    static constexpr auto fields() {
      return std::tuple{Field{"command", &Controller::command},
                        Field{"terminal_counts", &Controller::terminal_counts},
                        Field{"high_byte", &Controller::high_byte}};
    }
  };
  std::array<Channel, 8> channel{};
  std::array<Controller, 2> controller{};
  std::array<u8, 16> page{};  // ports 80h-8Fh
  static constexpr auto fields() {
    return std::tuple{Field{"channel", &I8237State::channel},
                      Field{"controller", &I8237State::controller},
                      Field{"page", &I8237State::page}};
  }
};

/// A device on an ISA DMA channel.
class IsaDmaClient {
 public:
  virtual ~IsaDmaClient() = default;
  /// DACK: the client's DREQ is up and its channel is programmed. The client moves what it has
  /// with to_memory() or from_memory(), and lowers its request when it has no more. Called once
  /// per rise of the request or of the channel's readiness, never from within itself: a client
  /// that wants to go on raises its request again later, from a timer of its own.
  virtual void dma_acknowledge(unsigned channel) = 0;
};

/// Channels 0-3 move bytes, 5-7 words; 4 is the cascade of 0-3 and must be unmasked for them.
/// Single, block and demand mode differ only in who has the bus between two transfers, which no
/// guest can see here; cascade mode moves nothing.
class I8237Pair : public StatefulDevice<I8237State>, public PortHandler {
 public:
  struct Transfer {
    u32 bytes = 0;                ///< moved; fewer than offered when the count ran out
    bool terminal_count = false;  ///< TC came with the last of them
  };

  /// Claims ports 00h-0Fh, C0h-DFh and 80h-8Fh.
  I8237Pair(Log& log, PortMap& ports, MemoryMap& memory);

  /// Must be called for every channel in use before the guest starts.
  void attach(unsigned channel, IsaDmaClient& client);
  /// DREQ of a channel.
  void set_request(unsigned channel, bool level);
  /// The channel answers DREQ: unmasked, enabled, not in cascade mode.
  bool ready(unsigned channel) const;
  /// Device to memory ("write transfer"). Words for channels 5-7: an odd last byte is left over.
  Transfer to_memory(unsigned channel, std::span<const u8> data);
  /// Memory to device ("read transfer").
  Transfer from_memory(unsigned channel, std::span<u8> data);

  u8 post_code() const { return state_.page[0]; }

  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  using Channel = I8237State::Channel;
  using Controller = I8237State::Controller;

  void restored() override;
  u64 memory_address(unsigned channel) const;
  bool answered(unsigned channel) const;
  /// One transfer's worth of counting; true at terminal count.
  bool step(unsigned channel);
  u8 read_register(unsigned which, unsigned index);
  void write_register(unsigned which, unsigned index, u8 value);
  u8 read_half(Controller& controller, u16 value);
  void write_half(Controller& controller, u16& base, u16& current, u8 value);
  void serve();

  Log& log_;
  MemoryMap& memory_;
  std::array<IsaDmaClient*, 8> clients_{};
  bool serving_ = false;
};

}  // namespace dragoman
