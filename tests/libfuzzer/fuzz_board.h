// A whole board without a running processor, on which an input plays the guest: accesses to ports
// and memory, time that passes, bytes that come from the host.
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "machine/pc_board.h"
#include "tests/libfuzzer/fuzz_target.h"

namespace dragoman {

/// A host's end that swallows what is sent and gives what the input says.
class FuzzBackend final : public CharacterBackend {
 public:
  void send(std::span<const u8>) override {}
  void set_receiver(CharacterReceiver* receiver) override { receiver_ = receiver; }
  void give(std::span<const u8> bytes);

 private:
  CharacterReceiver* receiver_ = nullptr;
};

class FuzzBoard {
 public:
  FuzzBoard();

  /// The registers that the operations reach: all ranges whose names begin with one of `names`,
  /// or every port and address.
  void reach(std::span<const std::string_view> names);
  bool reaches_something() const { return !windows_.empty(); }
  void reach_all() { windows_.clear(); }

  /// Carries out one operation of the input.
  void operate(FuzzInput& input);
  PcBoard& board() { return *board_; }

 private:
  struct Window {
    bool port;
    u64 first;
    u64 bytes;
  };
  void access(FuzzInput& input, bool write);
  void advance(u64 nanoseconds);

  std::array<FuzzBackend, 4> backends_;
  MachineConfig config_;
  Log log_;
  bool reset_wanted_ = false;
  std::unique_ptr<PcBoard> board_;
  std::vector<Window> windows_;
};

}  // namespace dragoman
