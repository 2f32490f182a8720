#include "machine/lockstep_io.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace dragoman {

SharedCharacter::SharedCharacter(CharacterBackend& host) : host_(host) {
  for (unsigned i = 0; i < ends_.size(); ++i) {
    ends_[i].owner = this;
    ends_[i].number = i;
  }
}

SharedCharacter::~SharedCharacter() { host_.set_receiver(nullptr); }

void SharedCharacter::receiver_changed() {
  const bool complete = ends_[0].receiver != nullptr && ends_[1].receiver != nullptr;
  host_.set_receiver(complete ? this : nullptr);
}

void SharedCharacter::open_input(bool open) {
  open_ = open;
  if (open) host_.receiver_ready();
}

unsigned SharedCharacter::can_receive() {
  if (!open_) return 0;
  const unsigned room =
      std::min(ends_[0].receiver->can_receive(), ends_[1].receiver->can_receive());
  const auto waiting = static_cast<unsigned>(received_.size());
  return room > waiting ? room - waiting : 0;
}

void SharedCharacter::receive(std::span<const u8> bytes) {
  received_.insert(received_.end(), bytes.begin(), bytes.end());
}

std::vector<u8> SharedCharacter::take_input() { return std::exchange(received_, {}); }

void SharedCharacter::deliver(std::span<const u8> bytes) {
  for (End& end : ends_) {
    if (end.receiver != nullptr) end.receiver->receive(bytes);
  }
}

void SharedCharacter::sent(unsigned machine, std::span<const u8> bytes) {
  if (machine == 0 && !muted_) host_.send(bytes);
  if (pending_.empty()) ahead_ = machine;
  if (machine == ahead_) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    return;
  }
  const std::size_t common = std::min(bytes.size(), pending_.size());
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(common),
                  pending_.begin())) {
    differs_ = true;
    return;  // pending_ shows what the other machine expected
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(common));
  if (common < bytes.size()) {
    ahead_ = machine;
    pending_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(common), bytes.end());
  }
}

std::string SharedCharacter::describe_difference() const {
  std::string text = fmt::format("{} sent", ahead_ == 0 ? "the interpreter" : "the translator");
  for (std::size_t i = 0; i < std::min<std::size_t>(pending_.size(), 16); ++i) {
    text += fmt::format(" {:02x}", pending_[i]);
  }
  return text + (differs_ ? ", the other machine something else" : ", the other machine did not");
}

/// Clusters that were written since the last commit lie over the image.
class SharedImage::View final : public BlockImage {
 public:
  explicit View(std::shared_ptr<BlockImage> image) : image_(std::move(image)) {}

  u64 size() const override { return image_->size(); }
  bool read_only() const override { return image_->read_only(); }
  const std::string& description() const override { return image_->description(); }
  Result<void> flush() override { return {}; }

  Result<void> read(u64 offset, std::span<u8> out) override {
    if (written.empty()) return image_->read(offset, out);
    if (auto ok = image_->read(offset, out); !ok) return ok;
    const u64 end = offset + out.size();
    for (auto it = written.lower_bound(offset / kCluster);
         it != written.end() && it->first * kCluster < end; ++it) {
      const u64 begin = it->first * kCluster;
      const u64 from = std::max(begin, offset);
      const u64 to = std::min(begin + kCluster, end);
      std::memcpy(out.data() + (from - offset), it->second.data() + (from - begin), to - from);
    }
    return {};
  }

  Result<void> write(u64 offset, std::span<const u8> in) override {
    if (offset > size() || in.size() > size() - offset) {
      return error("write at {} of {} bytes goes past the end of {}", offset, in.size(),
                   description());
    }
    while (!in.empty()) {
      const u64 number = offset / kCluster;
      const u64 within = offset % kCluster;
      const u64 length = std::min<u64>(in.size(), kCluster - within);
      auto cluster = get(number);
      if (!cluster) return cluster.error();
      std::memcpy((*cluster)->data() + within, in.data(), length);
      offset += length;
      in = in.subspan(length);
    }
    return {};
  }

  /// The cluster as this machine sees it, with a copy of its own.
  Result<Cluster*> get(u64 number) {
    const auto [it, fresh] = written.try_emplace(number);
    if (fresh) {
      if (auto ok = image_->read(number * kCluster, {it->second.data(), length(number)}); !ok) {
        written.erase(it);
        return ok.error();
      }
    }
    return &it->second;
  }
  /// The last cluster may be cut by the end of the image.
  u64 length(u64 number) const { return std::min(kCluster, size() - number * kCluster); }

  std::map<u64, Cluster> written;

 private:
  std::shared_ptr<BlockImage> image_;
};

SharedImage::SharedImage(std::shared_ptr<BlockImage> image) : image_(std::move(image)) {
  for (auto& view : views_) view = std::make_shared<View>(image_);
}

std::shared_ptr<BlockImage> SharedImage::view(unsigned machine) { return views_[machine]; }

Result<bool> SharedImage::equal() {
  std::set<u64> numbers;
  for (const auto& view : views_) {
    for (const auto& [number, bytes] : view->written) numbers.insert(number);
  }
  for (const u64 number : numbers) {
    auto left = views_[0]->get(number);
    if (!left) return left.error();
    auto right = views_[1]->get(number);
    if (!right) return right.error();
    if (std::memcmp((*left)->data(), (*right)->data(), views_[0]->length(number)) != 0) {
      return false;
    }
  }
  return true;
}

Result<void> SharedImage::commit() {
  if (views_[0]->written.empty()) return {};
  for (const auto& [number, bytes] : views_[0]->written) {
    const u64 length = views_[0]->length(number);
    if (auto ok = image_->write(number * kCluster, {bytes.data(), length}); !ok) return ok;
  }
  for (auto& view : views_) view->written.clear();
  return image_->flush();
}

}  // namespace dragoman
