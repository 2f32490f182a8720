// What two machines in lockstep share of the host: consoles and disks. The first machine's output
// goes to the host, the second one's is only compared; input goes to both at the same instruction.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/block_image.h"
#include "devices/character.h"

namespace dragoman {

/// One back end of the host for the same port of two machines.
class SharedCharacter final : private CharacterReceiver {
 public:
  /// `host` outlives this, and this outlives the machines.
  explicit SharedCharacter(CharacterBackend& host);
  ~SharedCharacter();
  SharedCharacter(const SharedCharacter&) = delete;
  SharedCharacter& operator=(const SharedCharacter&) = delete;

  /// What the port of machine 0 or 1 is connected to.
  CharacterBackend& end(unsigned machine) { return ends_[machine]; }

  /// Input is taken from the host only while this is open, between two steps of the machines.
  void open_input(bool open);
  /// Input that came while open, taken out.
  std::vector<u8> take_input();
  /// Gives bytes to both machines.
  void deliver(std::span<const u8> bytes);
  /// Nothing goes to the host any more: for copies of the process.
  void mute() { muted_ = true; }

  /// Both machines have sent the same bytes so far.
  bool outputs_equal() const { return !differs_ && pending_.empty(); }
  /// The bytes that only one machine has sent, for a report.
  std::string describe_difference() const;

 private:
  class End final : public CharacterBackend {
   public:
    void send(std::span<const u8> bytes) override { owner->sent(number, bytes); }
    void set_receiver(CharacterReceiver* to) override {
      receiver = to;
      owner->receiver_changed();
    }
    // receiver_ready() says nothing new: input waits until both machines are at one instruction.

    SharedCharacter* owner = nullptr;
    unsigned number = 0;
    CharacterReceiver* receiver = nullptr;
  };

  unsigned can_receive() override;
  void receive(std::span<const u8> bytes) override;
  void sent(unsigned machine, std::span<const u8> bytes);
  void receiver_changed();

  CharacterBackend& host_;
  std::array<End, 2> ends_;
  bool open_ = false;
  bool muted_ = false;
  bool differs_ = false;
  unsigned ahead_ = 0;        ///< the machine that sent `pending_`
  std::vector<u8> pending_;   ///< sent by one machine and not yet by the other
  std::vector<u8> received_;  ///< from the host
};

/// One image for the same drive of two machines. What they write is kept in memory until commit()
/// brings it to the image, so that the image changes only at points where both were equal, and a
/// copy of the process that goes back to such a point finds the image of then.
class SharedImage {
 public:
  explicit SharedImage(std::shared_ptr<BlockImage> image);

  /// The image as machine 0 or 1 sees it.
  std::shared_ptr<BlockImage> view(unsigned machine);
  /// Whether both see the same bytes.
  Result<bool> equal();
  /// Writes what the first machine wrote to the image. Only when equal.
  Result<void> commit();
  const std::string& description() const { return image_->description(); }

 private:
  static constexpr u64 kCluster = 4096;
  using Cluster = std::array<u8, kCluster>;
  class View;

  std::shared_ptr<BlockImage> image_;
  std::array<std::shared_ptr<View>, 2> views_;
};

}  // namespace dragoman
