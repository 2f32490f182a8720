// The past of a machine whose time is the count of instructions: saved moments, the input in
// between, and the way back. A run repeats itself, so going back is returning to a moment and
// running again, with the input of then, up to the wanted instruction.
#pragma once

#include <compare>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "machine/config.h"
#include "machine/debugger.h"
#include "machine/pc_board.h"
#include "machine/recorded_io.h"
#include "machine/saved_pages.h"

namespace dragoman {

class Machine;

/// A point of a run. Two of one run are equal only when the machine is in the same state at both.
struct Position {
  u64 instructions = 0;
  u64 time = 0;  ///< virtual; waiting costs no instructions
  u64 part = 0;  ///< iterations of a repeated instruction that debugger's steps have done
  auto operator<=>(const Position&) const = default;
};

class History final : private Recorder {
 public:
  /// What came from outside the machine.
  enum class Input : u8 {
    kBytes,  ///< to character device `port`
    kBreak,  ///< on serial port `port`
    kKey,    ///< key, pressed
    kMouse,  ///< dx, dy, dz, buttons or -1
    kPowerButton,
    kReset,
    kNmi,
    kProcessor,  ///< registers were written: all of the state
    kMemory,     ///< physical address
    kPort,       ///< port, width, value, and 1 when it was written
    kStep,       ///< a debugger's step, which holds interrupts off; 1 when the processor ran
    kSkip,       ///< likewise, over a breakpoint
    kStepEnded,  ///< the debugger took it back
  };
  struct Event {
    Position at;
    Input kind = Input::kBytes;
    u32 port = 0;
    std::array<i64, 4> values{};
    std::vector<u8> bytes;
  };

  /// `config` has a HistoryConfig and time by instructions.
  explicit History(const MachineConfig& config);
  ~History() override;
  /// With back ends and images that are recorded; sound is muted, because it would have to be
  /// played backwards.
  const MachineConfig& config() const { return config_; }
  /// To be called once the machine has its board.
  void attach(Machine& machine);

  // --- For the run loop -------------------------------------------------------------------------
  /// Between two slices, timers run: gives recorded input again, saves a moment when it is time.
  /// The number of instructions until something is to be done here.
  u64 before_slice();
  /// The processor ran.
  void after_slice();
  /// Looks for input of the host that devices have room for.
  void look();
  /// A way back was asked for: to be gone now.
  bool travelling() const { return travel_ != Travel::kNone; }
  void travel();

  // --- For the debugger -------------------------------------------------------------------------
  /// Notes input that is about to be given at this point. Input in the past begins another future:
  /// what was recorded behind it is forgotten. False when it is not to be given: while the machine
  /// is on its way back, or when it came by itself while the past runs again.
  bool record(Input kind, u32 port = 0, std::array<i64, 4> values = {},
              std::span<const u8> bytes = {});
  /// This has happened before: what is done now is only repeated.
  bool in_past() const { return !present_; }
  enum class Travel : u8 { kNone, kStepBack, kContinueBack };
  void go_back(Travel how) {
    travel_ = how;
    cancelled_ = false;
  }
  void cancel() { cancelled_ = true; }
  /// What is kept, in a few lines.
  std::string describe();
  Position position() const;

 private:
  /// The machine as it was; between two instructions, never inside a repeated one.
  struct Moment {
    Position at;
    std::size_t events = 0;  ///< how many had been given
    std::vector<PageStore::Number> pages;
    PcBoard::Saved board;
    bool powered_off = false;
    u64 registers = 0;               ///< a hash, to see whether the run repeats itself
    std::vector<DiskPieces> before;  ///< of each image, until the next moment
    u64 bytes() const;
  };
  /// Where a search found something to stop at.
  struct Found {
    Position at;
    DebugPoints::Hit hit;
  };
  enum class Reached : u8 { kTarget, kHit, kEnd };

  // Recorder
  bool present() const override { return present_ && !travelling(); }
  void came(u32 port, std::span<const u8> bytes) override;

  // machine/history_moments.cpp
  void wrap(const MachineConfig& config);
  void keep_moment(bool near);
  void put_back(std::size_t index);
  std::size_t moment_before(const Position& at, bool itself) const;
  void cross_moments();
  void forget_future();
  void thin_out();
  void drop_moment(std::size_t index);
  u64 bytes() const;
  u64 register_hash();
  void keep_disk_pieces();

  // machine/history.cpp
  void give(const Event& event);
  void give_due();
  void note_slice();
  u64 until_next() const;

  // machine/history_travel.cpp
  bool on_repeated();
  void run_one_slice(u64 most);
  Reached advance(const Position& target);
  void step_part();
  void go_to(const Position& target);
  Position here_exactly();
  bool step_back(const Position& from, Found& found);
  bool search_back(const Position& from, Found& found);
  bool last_hit(std::size_t m, const Position& until, Found& found, Position& before_hit);
  void pass_over(const Position& target);
  Position last_watched(const Position& from, const Position& until);
  Position part_before(const Position& whole, const Position& until);
  void arrive(const DebugPoints::Hit& hit);
  bool host_wants_stop();
  bool gave_up() const;
  void diverged(const char* where);
  PcBoard& board() const;

  HistoryConfig options_;
  MachineConfig config_;
  std::vector<std::unique_ptr<RecordedCharacter>> characters_;
  std::vector<std::shared_ptr<RecordedImage>> images_;
  Machine* machine_ = nullptr;

  std::vector<Event> events_;
  std::size_t next_event_ = 0;  ///< behind the last one given
  u64 event_bytes_ = 0;

  PageStore store_;
  std::vector<Moment> moments_;
  std::size_t current_ = 0;   ///< the moment behind which the machine is
  u64 next_moment_ = 0;       ///< instruction count
  u64 next_moment_host_ = 0;  ///< host time

  Position end_;  ///< how far the machine has lived
  bool present_ = true;
  u64 part_ = 0;          ///< of the position now
  u64 before_slice_ = 0;  ///< instructions
  bool step_was_on_ = false;
  bool repeating_step_ = false;  ///< of an event, not of a debugger
  Travel travel_ = Travel::kNone;
  bool cancelled_ = false;
  bool diverged_ = false;  ///< since travel() began
  bool giving_ = false;
  u64 next_look_ = 0;  ///< at the host, while travelling
};

}  // namespace dragoman
