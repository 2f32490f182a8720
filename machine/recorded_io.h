// What a machine with a history has between itself and the host: input is told to the recorder,
// output is said once, and disks can be put back to what they were.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devices/block_image.h"
#include "devices/character.h"

namespace dragoman {

/// What recorded devices ask the one who records.
class Recorder {
 public:
  virtual ~Recorder() = default;
  /// The machine lives through this for the first time: input may come, output goes to the host.
  virtual bool present() const = 0;
  virtual void came(u32 port, std::span<const u8> bytes) = 0;
};

/// A serial port's or a console's back end. Input comes between two instructions, from look().
class RecordedCharacter final : public CharacterBackend, private CharacterReceiver {
 public:
  /// `host` and `recorder` outlive this.
  RecordedCharacter(CharacterBackend& host, Recorder& recorder, u32 port)
      : host_(host), recorder_(recorder), port_(port) {}
  ~RecordedCharacter() override { host_.set_receiver(nullptr); }

  void send(std::span<const u8> bytes) override {
    if (recorder_.present()) host_.send(bytes);
  }
  void set_receiver(CharacterReceiver* receiver) override {
    receiver_ = receiver;
    host_.set_receiver(receiver != nullptr ? this : nullptr);
  }
  // receiver_ready() says nothing new: input waits until look().

  /// Takes what the host holds and the device has room for.
  void look() { host_.receiver_ready(); }
  /// Gives the device what it was given once.
  void again(std::span<const u8> bytes) {
    if (receiver_ != nullptr) receiver_->receive(bytes);
  }

 private:
  unsigned can_receive() override {
    return receiver_ != nullptr && recorder_.present() ? receiver_->can_receive() : 0;
  }
  void receive(std::span<const u8> bytes) override {
    if (receiver_ == nullptr) return;
    recorder_.came(port_, bytes);
    receiver_->receive(bytes);
  }

  CharacterBackend& host_;
  Recorder& recorder_;
  u32 port_;
  CharacterReceiver* receiver_ = nullptr;
};

/// Parts of a disk as they were before they were written.
using DiskPieces = std::map<u64, std::vector<u8>>;  // by number of cluster

/// An image that remembers what it overwrites.
class RecordedImage final : public BlockImage {
 public:
  explicit RecordedImage(std::shared_ptr<BlockImage> image) : image_(std::move(image)) {}

  u64 size() const override { return image_->size(); }
  bool read_only() const override { return image_->read_only(); }
  Result<void> read(u64 offset, std::span<u8> out) override { return image_->read(offset, out); }
  Result<void> write(u64 offset, std::span<const u8> in) override;
  Result<void> flush() override { return image_->flush(); }
  const std::string& description() const override { return image_->description(); }

  /// Where what is overwritten from now on goes, if it is not there already; null: nowhere.
  void keep_in(DiskPieces* pieces) { pieces_ = pieces; }
  /// Puts `pieces` back.
  Result<void> put_back(const DiskPieces& pieces);

 private:
  static constexpr u64 kCluster = 4096;

  std::shared_ptr<BlockImage> image_;
  DiskPieces* pieces_ = nullptr;
};

}  // namespace dragoman
