// Watches a byte stream for a text (`--expect TEXT`).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"
#include "devices/character.h"

namespace dragoman {

/// Stands between a device and its back end, passes everything on, and calls back once when the
/// device's output contains the text.
class ExpectTee : public CharacterBackend {
 public:
  /// `inner` must outlive the tee. An empty text matches nothing.
  ExpectTee(CharacterBackend& inner, std::string text, std::function<void()> matched);

  void send(std::span<const u8> bytes) override;
  void set_receiver(CharacterReceiver* receiver) override { inner_.set_receiver(receiver); }
  void receiver_ready() override { inner_.receiver_ready(); }
  bool has_matched() const { return done_; }

 private:
  CharacterBackend& inner_;
  std::string text_;
  std::function<void()> matched_;
  std::vector<std::size_t> border_;  ///< Knuth-Morris-Pratt: longest border of each prefix
  std::size_t position_ = 0;         ///< characters of the text seen so far
  bool done_ = false;
};

}  // namespace dragoman
