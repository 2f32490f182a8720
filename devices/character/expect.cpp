// Watches a byte stream for a text (`--expect TEXT`).
#include "devices/character/expect.h"

#include <utility>

namespace dragoman {

ExpectTee::ExpectTee(CharacterBackend& inner, std::string text, std::function<void()> matched)
    : inner_(inner), text_(std::move(text)), matched_(std::move(matched)) {
  border_.assign(text_.size() + 1, 0);
  std::size_t length = 0;
  for (std::size_t i = 1; i < text_.size(); ++i) {
    while (length != 0 && text_[i] != text_[length]) length = border_[length];
    if (text_[i] == text_[length]) ++length;
    border_[i + 1] = length;
  }
}

void ExpectTee::send(std::span<const u8> bytes) {
  inner_.send(bytes);
  if (done_ || text_.empty()) return;
  for (const u8 byte : bytes) {
    const char c = static_cast<char>(byte);
    while (position_ != 0 && text_[position_] != c) position_ = border_[position_];
    if (text_[position_] == c) ++position_;
    if (position_ == text_.size()) {
      done_ = true;
      if (matched_) matched_();
      return;
    }
  }
}

}  // namespace dragoman
