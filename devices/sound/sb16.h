// Creative Sound Blaster 16 (CT1740): DSP 4.05, CT1745 mixer, OPL3, two ISA DMA channels.
// Sound Blaster Series Hardware Programming Guide (Creative, 1996), chapters 1 to 6.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/irq_line.h"
#include "base/log.h"
#include "base/scheduler.h"
#include "devices/device.h"
#include "devices/i8237.h"
#include "devices/sound/audio_mixer.h"
#include "devices/sound/creative_adpcm.h"
#include "devices/sound/ct1745.h"
#include "devices/sound/midi.h"
#include "devices/sound/sample_clock.h"
#include "devices/sound/sb16_jumpers.h"
#include "devices/sound/step_signal.h"
#include "devices/sound/ymf262.h"
#include "memory/port_map.h"

namespace dragoman {

struct Sb16State {
  enum class Kind : u8 { kNone, kPcm, kAdpcm, kSilence };
  /// What the DSP moves by itself.
  struct Transfer {
    SampleClock clock;
    u32 block = 0;  ///< samples (bytes, when packed) of a block
    u32 left = 0;   ///< of them still to move
    CreativeAdpcm adpcm;
    Kind kind = Kind::kNone;
    AdpcmKind packing = AdpcmKind::kFourBits;
    bool capture = false;
    bool is_signed = false;
    bool stereo = false;
    bool auto_init = false;
    bool paused = false;
    bool waiting = false;          ///< the DMA controller gave nothing
    bool wants_reference = false;  ///< the next byte is a sample, not codes
    std::array<u8, 3> reserved{};
    static constexpr auto fields() {
      using T = Transfer;
      return std::tuple{Field{"clock", &T::clock},
                        Field{"block", &T::block},
                        Field{"left", &T::left},
                        Field{"adpcm", &T::adpcm},
                        Field{"kind", &T::kind},
                        Field{"packing", &T::packing},
                        Field{"capture", &T::capture},
                        Field{"is_signed", &T::is_signed},
                        Field{"stereo", &T::stereo},
                        Field{"auto_init", &T::auto_init},
                        Field{"paused", &T::paused},
                        Field{"waiting", &T::waiting},
                        Field{"wants_reference", &T::wants_reference},
                        Field{"reserved", &T::reserved}};
    }
  };

  std::array<Transfer, 2> transfers{};  ///< of bytes and of words; they may run side by side
  u64 ready_at = 0;                     ///< virtual ns at which a reset is over
  SampleRate output_rate{11025, 1};
  SampleRate input_rate{11025, 1};
  u16 block_length = 0;  ///< of command 48h, less one
  Ct1745State mixer;
  std::array<u8, 64> queue{};  ///< bytes to read
  std::array<u8, 4> arguments{};
  u8 queue_size = 0;
  u8 queue_position = 0;
  u8 command = 0;  ///< while its arguments are missing
  u8 arguments_left = 0;
  u8 arguments_seen = 0;
  u8 last_read = 0;
  u8 test = 0;                   ///< register of E4h and E8h
  u8 identification = 0xaa;      ///< of command E2h
  u8 identification_key = 0x96;  ///< of command E2h
  u8 interrupts = 0;             ///< mixer register 82h
  bool in_reset = false;
  bool speaker = false;
  bool midi_uart = false;
  std::array<u8, 4> reserved{};
  static constexpr auto fields() {
    using S = Sb16State;
    return std::tuple{Field{"transfers", &S::transfers},
                      Field{"ready_at", &S::ready_at},
                      Field{"output_rate", &S::output_rate},
                      Field{"input_rate", &S::input_rate},
                      Field{"block_length", &S::block_length},
                      Field{"mixer", &S::mixer},
                      Field{"queue", &S::queue},
                      Field{"arguments", &S::arguments},
                      Field{"queue_size", &S::queue_size},
                      Field{"queue_position", &S::queue_position},
                      Field{"command", &S::command},
                      Field{"arguments_left", &S::arguments_left},
                      Field{"arguments_seen", &S::arguments_seen},
                      Field{"last_read", &S::last_read},
                      Field{"test", &S::test},
                      Field{"identification", &S::identification},
                      Field{"identification_key", &S::identification_key},
                      Field{"interrupts", &S::interrupts},
                      Field{"in_reset", &S::in_reset},
                      Field{"speaker", &S::speaker},
                      Field{"midi_uart", &S::midi_uart},
                      Field{"reserved", &S::reserved}};
  }
};

/// The card's ports from the fifth on; the OPL3 is a device of its own whose ports the board
/// maps at offsets 0 and 8 and at 388h; so is the MPU-401 at 330h, whose interrupt is pin 0 here.
///
/// What is recorded is silence. There is no game port, no CD-ROM and no ASP. Commands D1h and D3h
/// have no effect on the sound, as on every DSP 4.xx.
class Sb16 : public StatefulDevice<Sb16State>,
             public PortHandler,
             public IsaDmaClient,
             public IrqSink {
 public:
  static constexpr u16 kFirstPort = 4;  ///< offsets 4 and 5: mixer; 6 to Fh: DSP
  static constexpr u16 kPortCount = 12;

  /// Interrupt lines for IRQ 9, 5, 7 and 10. `mixer` may be null, and `midi`, to which the DSP's
  /// own MIDI commands play.
  Sb16(std::string name, Scheduler& scheduler, Log& log, I8237Pair& dma,
       std::array<IrqLine, 4> lines, const Sb16Jumpers& jumpers, Ymf262& opl, AudioMixer* mixer,
       MidiOutput* midi = nullptr);

  void reset() override;
  /// The MPU-401 wants the processor.
  void set_irq(unsigned pin, bool level) override;
  void dma_acknowledge(unsigned channel) override;
  /// `offset` counts from kFirstPort.
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;

 private:
  using Transfer = Sb16State::Transfer;
  using Kind = Sb16State::Kind;
  static constexpr unsigned kBytes = 0;  ///< transfers_[kBytes]
  static constexpr unsigned kWords = 1;

  void restored() override;
  // Ports, interrupts, mixer: sb16.cpp
  void write_reset(u8 value);
  void reset_dsp();
  u8 read_mixer();
  void write_mixer(u8 value);
  void set_interrupt(u8 mask, bool level);
  void drive_lines();
  void update_volumes();
  unsigned dma_channel(unsigned which) const;
  // DSP commands: sb16_dsp.cpp
  void write_dsp(u8 value);
  void execute();
  bool execute_transfer_command(u8 command);
  void start_packed(u8 command);
  void start_pcm(u8 command);
  void reply(u8 value);
  u8 read_queue();
  void identify_by_dma(u8 value);
  void send_midi(u8 byte);
  u16 argument16() const;
  // Transfers: sb16_transfer.cpp
  void start(unsigned which, const Transfer& transfer, u32 length);
  void join(unsigned which);
  void pause(unsigned which);
  void resume(unsigned which);
  void stop(unsigned which);
  /// Moves what is due.
  void advance(unsigned which);
  /// Moves up to `frames`; fewer when the DMA controller or the block has no more.
  u64 move(unsigned which, u64 frames);
  u64 move_pcm(unsigned which, u64 frames);
  u64 move_packed(unsigned which, u64 frames);
  void end_of_block(unsigned which);
  void write_sound(unsigned which);
  void arm();
  void direct_output(u8 level);
  void produce_direct();

  Scheduler& scheduler_;
  Log& log_;
  I8237Pair& dma_;
  std::array<IrqLine, 4> lines_;
  Sb16Jumpers jumpers_;
  Ymf262& opl_;
  MidiOutput* midi_;
  Ct1745 mixer_{state_.mixer};
  Timer timer_;
  std::array<AudioStream, 2> streams_;
  AudioStream direct_stream_;
  SampleRate direct_rate_;
  StepSignal direct_;
  i32 direct_level_ = 0;
  u64 direct_changed_at_ = 0;
  bool direct_sounding_ = false;
  Ct1745::Volume volume_;
  std::vector<AudioFrame> frames_;
};

}  // namespace dragoman
