// Saved moments of a machine: keeping them, returning to one, making room.
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "machine/history.h"
#include "machine/machine.h"

namespace dragoman {
namespace {

/// Host time between two moments at least, and what keeping one may cost of it.
constexpr u64 kLeastHostNs = 250'000'000;
constexpr u64 kCostFactor = 16;
/// More moments than this only make looking for one slower.
constexpr std::size_t kMostMoments = 400;

std::span<u8, kPageSize> page_at(u8* base, u64 page) {
  return std::span<u8, kPageSize>(base + page * kPageSize, kPageSize);
}

}  // namespace

void History::wrap(const MachineConfig& config) {
  Recorder& recorder = *this;
  const auto recorded = [&](CharacterBackend* host) -> CharacterBackend* {
    if (host == nullptr) return nullptr;
    characters_.push_back(
        std::make_unique<RecordedCharacter>(*host, recorder, static_cast<u32>(characters_.size())));
    return characters_.back().get();
  };
  for (std::size_t n = 0; n < config.serial.size(); ++n) {
    config_.serial[n] = recorded(config.serial[n]);
  }
  config_.parallel = recorded(config.parallel);
  config_.debug_console = recorded(config.debug_console);
  config_.firmware_log = recorded(config.firmware_log);
  for (std::size_t n = 0; n < config.virtio_consoles.size(); ++n) {
    config_.virtio_consoles[n] = recorded(config.virtio_consoles[n]);
  }
  for (DriveConfig& drive : config_.drives) {
    if (drive.image == nullptr) continue;
    images_.push_back(std::make_shared<RecordedImage>(drive.image));
    drive.image = images_.back();
  }
  config_.sound.mute();
}

u64 History::Moment::bytes() const {
  u64 sum = sizeof(*this) + pages.size() * sizeof(pages[0]) + board.processor.size() +
            board.devices.size();
  for (const DiskPieces& pieces : before) {
    for (const auto& [number, data] : pieces) sum += data.size() + 64;
  }
  return sum;
}

u64 History::bytes() const {
  u64 sum = store_.bytes() + event_bytes_;
  for (const Moment& moment : moments_) sum += moment.bytes();
  return sum;
}

u64 History::register_hash() {
  const Cpu& cpu = board().cpu();
  std::array<u64, 20> values{};
  std::copy(cpu.state.regs.begin(), cpu.state.regs.end(), values.begin());
  values[18] = cpu.rflags();
  values[19] = cpu.state.cr3;
  return XXH3_64bits(values.data(), sizeof(values));
}

/// Saves this point behind the moment the machine is behind. `near`: on the way back, to have it
/// shorter the next time.
void History::keep_moment(bool near) {
  const u64 begin = host_time_ns();
  Moment moment;
  moment.at = position();
  moment.events = next_event_;
  moment.board = board().save();
  moment.powered_off = machine_->powered_off();
  moment.registers = register_hash();
  moment.before.resize(images_.size());
  GuestMemory& memory = board().memory();
  const u64 pages = memory.used() >> kPageShift;
  const std::vector<bool> touched = touched_pages(memory.base(), pages);
  const Moment* const last = moments_.empty() ? nullptr : &moments_[current_];
  moment.pages.resize(pages);
  for (u64 page = 0; page < pages; ++page) {
    if (!touched.empty() && !touched[page]) continue;
    const auto bytes = page_at(memory.base(), page);
    const u64 hash = PageStore::hash_of(bytes);
    if (last != nullptr && store_.hash(last->pages[page]) == hash) {
      moment.pages[page] = last->pages[page];
      store_.use(last->pages[page]);
    } else {
      moment.pages[page] = store_.add(bytes, hash);
    }
  }
  // What begins at a moment begins without cached translations, also when it is the first time.
  board().cpu().flush_tlb(true);
  current_ = moments_.empty() ? 0 : current_ + 1;
  moments_.insert(moments_.begin() + static_cast<std::ptrdiff_t>(current_), std::move(moment));
  keep_disk_pieces();
  const u64 now = host_time_ns();
  if (!near) {
    next_moment_ = machine_->instructions() + options_.interval;
    next_moment_host_ = now + std::max(kLeastHostNs, (now - begin) * kCostFactor);
    thin_out();
  }
}

void History::keep_disk_pieces() {
  for (std::size_t i = 0; i < images_.size(); ++i) {
    images_[i]->keep_in(&moments_[current_].before[i]);
  }
}

/// Makes the machine what it was at moment `index`, which is not behind the present one.
void History::put_back(std::size_t index) {
  // Disks first: the newest pieces are put back first.
  for (std::size_t i = 0; i < images_.size(); ++i) images_[i]->keep_in(nullptr);
  for (std::size_t m = current_ + 1; m-- > index;) {
    for (std::size_t i = 0; i < images_.size(); ++i) {
      if (auto ok = images_[i]->put_back(moments_[m].before[i]); !ok) {
        machine_->stop({StopCause::kHostError, 0, ok.error().message});
      }
      moments_[m].before[i].clear();
    }
  }
  const Moment& moment = moments_[index];
  GuestMemory& memory = board().memory();
  const std::vector<bool> touched = touched_pages(memory.base(), moment.pages.size());
  std::array<u8, kPageSize> wanted;
  for (u64 page = 0; page < moment.pages.size(); ++page) {
    const PageStore::Number number = moment.pages[page];
    if (number == 0 && !touched.empty() && !touched[page]) continue;
    const auto bytes = page_at(memory.base(), page);
    if (PageStore::hash_of(bytes) == store_.hash(number)) continue;
    store_.read(number, wanted);
    std::copy(wanted.begin(), wanted.end(), bytes.begin());
    memory.note_write(page << kPageShift, kPageSize);
  }
  if (auto ok = board().load(moment.board); !ok) {
    machine_->stop({StopCause::kHostError, 0, ok.error().message});
  }
  machine_->restored(moment.powered_off);
  current_ = index;
  next_event_ = moment.events;
  part_ = moment.at.part;
  repeating_step_ = false;
  present_ = false;
  keep_disk_pieces();
}

/// The last moment before `at`, or at it where `itself` counts; the first one if there is none.
std::size_t History::moment_before(const Position& at, bool itself) const {
  std::size_t found = 0;
  for (std::size_t i = 1; i <= current_; ++i) {
    if (moments_[i].at < at || (itself && moments_[i].at == at)) found = i;
  }
  return found;
}

/// The machine goes over points again at which moments were saved.
void History::cross_moments() {
  const Position here = position();
  while (current_ + 1 < moments_.size() && moments_[current_ + 1].at <= here) {
    const Moment& next = moments_[current_ + 1];
    if (next.at < here || (next.events == next_event_ && next.registers != register_hash())) {
      return diverged("up to a saved moment");
    }
    // As it was the first time (keep_moment()).
    board().cpu().flush_tlb(true);
    ++current_;
    keep_disk_pieces();
  }
}

void History::drop_moment(std::size_t index) {
  for (const PageStore::Number page : moments_[index].pages) store_.release(page);
  if (index > 0 && index <= current_) {
    // Older contents win.
    for (std::size_t i = 0; i < images_.size(); ++i) {
      moments_[index - 1].before[i].merge(moments_[index].before[i]);
    }
  }
  moments_.erase(moments_.begin() + static_cast<std::ptrdiff_t>(index));
  if (index <= current_ && current_ != 0) --current_;
  if (!moments_.empty()) keep_disk_pieces();
}

/// Lets moments go that are close together and long ago; at last the beginning moves.
void History::thin_out() {
  while (moments_.size() > 2 && (bytes() > options_.most_bytes || moments_.size() > kMostMoments)) {
    const u64 now = moments_.back().at.instructions;
    std::size_t best = 0;
    double least = 0;
    for (std::size_t i = 1; i + 1 < moments_.size(); ++i) {
      const auto gap =
          static_cast<double>(moments_[i + 1].at.instructions - moments_[i - 1].at.instructions);
      const auto age = static_cast<double>(now - moments_[i].at.instructions + 1);
      if (best == 0 || gap / age < least) {
        best = i;
        least = gap / age;
      }
    }
    drop_moment(best);
  }
  if (moments_.size() == 2 && bytes() > options_.most_bytes) {
    drop_moment(0);
    board().cpu().log().once(
        "history is full",
        "history: its beginning moves, because {} MiB are used up; -rewind size=N",
        options_.most_bytes / kMiB);
  }
}

}  // namespace dragoman
