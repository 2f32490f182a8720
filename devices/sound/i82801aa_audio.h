// AC '97 audio function of the Intel 82801AA (ICH), 8086:2415.
// Intel 82801AA (ICH) datasheet 290655, chapter 13: "AC '97 Audio Controller Registers".
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/scheduler.h"
#include "devices/pci/pci_function.h"
#include "devices/sound/ac97_codec.h"
#include "devices/sound/audio_mixer.h"
#include "devices/sound/sample_clock.h"

namespace dragoman {

struct I82801aaAudioState {
  /// A bus master: PCM in, PCM out or microphone.
  struct Master {
    SampleClock clock;
    u32 list = 0;       ///< BDBAR
    u32 address = 0;    ///< of the next sample
    u16 left = 0;       ///< PICB: samples left in the buffer
    u16 flags = 0;      ///< upper half of the descriptor: IOC, BUP
    u8 current = 0;     ///< CIV
    u8 last = 0;        ///< LVI
    u8 prefetched = 0;  ///< PIV
    u8 status = 0x01;   ///< SR: halted
    u8 control = 0;     ///< CR
    std::array<u8, 7> reserved{};
    static constexpr auto fields() {
      using M = Master;
      return std::tuple{Field{"clock", &M::clock},      Field{"list", &M::list},
                        Field{"address", &M::address},  Field{"left", &M::left},
                        Field{"flags", &M::flags},      Field{"current", &M::current},
                        Field{"last", &M::last},        Field{"prefetched", &M::prefetched},
                        Field{"status", &M::status},    Field{"control", &M::control},
                        Field{"reserved", &M::reserved}};
    }
  };

  std::array<Master, 3> masters{};
  Ac97CodecState codec;
  u32 global_control = 0;
  bool codec_busy = false;  ///< CAS
  std::array<u8, 3> reserved{};
  static constexpr auto fields() {
    using S = I82801aaAudioState;
    return std::tuple{Field{"masters", &S::masters}, Field{"codec", &S::codec},
                      Field{"global_control", &S::global_control},
                      Field{"codec_busy", &S::codec_busy}, Field{"reserved", &S::reserved}};
  }
};

/// BAR 0 holds the codec's registers, BAR 1 the bus masters'. Two channels, 16 bits; what is
/// recorded is silence.
class I82801aaAudio final : public StatefulPciFunction<I82801aaAudioState>, private PortHandler {
 public:
  /// `mixer` may be null.
  I82801aaAudio(std::string name, const PciSpaces& spaces, Scheduler& scheduler, AudioMixer* mixer);

  void reset() override;

 private:
  using Master = I82801aaAudioState::Master;
  enum : unsigned { kPcmIn, kPcmOut, kMicrophone };

  void restored() override;
  u32 port_read(unsigned bank, u16 offset, unsigned size) override;
  void port_write(unsigned bank, u16 offset, unsigned size, u32 value) override;
  u8 read_byte(u16 offset);
  void write_master(unsigned which, unsigned offset, unsigned size, u32 value);
  void write_control(unsigned which, u8 value);
  void write_global_control(u32 value);
  void write_codec(u8 offset, u16 value);
  u32 global_status() const;

  bool running(const Master& m) const;
  bool codec_ready() const;
  SampleRate rate_of(unsigned which) const;
  /// Frames the rest of the buffer holds.
  u64 frames_left(unsigned which) const;
  void fetch(Master& m);
  /// At the end of a buffer or when there is more: the next descriptor, or halt.
  void next_buffer(Master& m);
  void buffer_done(Master& m);
  void go_on(unsigned which);
  void advance(unsigned which);
  void advance_all();
  void move(unsigned which, u64 frames);
  void update_interrupt();
  void arm();

  Scheduler& scheduler_;
  Ac97Codec codec_{state_.codec};
  Ac97Codec::Volume volume_;
  Timer timer_;
  AudioStream stream_;
  std::vector<AudioFrame> frames_;
};

}  // namespace dragoman
