// Commands of the Sound Blaster 16's DSP.
// Sound Blaster Series Hardware Programming Guide (Creative, 1996), chapter 6.
#include <algorithm>
#include <string_view>

#include "devices/sound/sb16.h"

namespace dragoman {
namespace {

constexpr u8 kVersionMajor = 4;
constexpr u8 kVersionMinor = 5;
constexpr u32 kLowestRate = 5000;  // Hz
constexpr u32 kHighestRate = 45000;
constexpr u32 kShortestPeriod = 22;  // us
// What command E3h answers, with its final zero.
constexpr std::string_view kCopyright{"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.", 45};

/// Bytes that follow a command.
u8 argument_count(u8 command) {
  if (command >= 0xb0 && command <= 0xcf) return 3;  // mode, length
  switch (command) {
    case 0x04:  // ASP mode
    case 0x08:  // ASP version
    case 0x0f:  // ASP register
    case 0x10:  // direct output
    case 0x38:  // MIDI byte
    case 0x40:  // time constant
    case 0xe0:  // identification
    case 0xe2:  // identification by DMA
    case 0xe4:  // write test register
      return 1;
    case 0x05:  // ASP parameter
    case 0x0e:  // ASP register
    case 0x14:  // 8-bit output
    case 0x15:
    case 0x16:  // packed output
    case 0x17:
    case 0x24:  // 8-bit input
    case 0x41:  // rates
    case 0x42:
    case 0x48:  // block length
    case 0x74:  // packed output
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x80:  // silence
      return 2;
    default:
      return 0;
  }
}

}  // namespace

void Sb16::reply(u8 value) {
  if (state_.queue_position == state_.queue_size) state_.queue_position = state_.queue_size = 0;
  if (state_.queue_size < state_.queue.size()) state_.queue[state_.queue_size++] = value;
}

u8 Sb16::read_queue() {
  if (state_.queue_position < state_.queue_size) {
    state_.last_read = state_.queue[state_.queue_position++];
  }
  return state_.last_read;
}

/// Lengths come low byte first, after a mode byte if there is one.
u16 Sb16::argument16() const {
  const std::size_t at = state_.arguments_seen == 3 ? 1 : 0;
  return static_cast<u16>(state_.arguments[at] | state_.arguments[at + 1] << 8);
}

void Sb16::write_dsp(u8 value) {
  if (state_.midi_uart) return send_midi(value);
  if (state_.arguments_left == 0) {
    state_.command = value;
    state_.arguments_seen = 0;
    state_.arguments_left = argument_count(value);
  } else {
    state_.arguments[state_.arguments_seen++] = value;
    --state_.arguments_left;
  }
  if (state_.arguments_left == 0) execute();
}

void Sb16::identify_by_dma(u8 value) {
  // The answer goes to memory by DMA: a sum of the arguments under a mask that turns by two bits.
  state_.identification =
      static_cast<u8>(state_.identification + (value ^ state_.identification_key));
  state_.identification_key =
      static_cast<u8>(state_.identification_key >> 2 | state_.identification_key << 6);
  const unsigned channel = dma_channel(kBytes);
  dma_.set_request(channel, true);
  const std::array<u8, 1> answer{state_.identification};
  (void)dma_.to_memory(channel, answer);
  dma_.set_request(channel, false);
}

void Sb16::send_midi(u8 byte) {
  if (midi_ != nullptr) midi_->send(byte, scheduler_.now());
}

/// SB16 commands Bxh (words) and Cxh (bytes): bit 3 input, bit 2 auto-initialize; mode bit 5
/// stereo, bit 4 signed.
void Sb16::start_pcm(u8 command) {
  Transfer t;
  t.kind = Kind::kPcm;
  t.capture = (command & 0x08) != 0;
  t.auto_init = (command & 0x04) != 0;
  t.stereo = (state_.arguments[0] & 0x20) != 0;
  t.is_signed = (state_.arguments[0] & 0x10) != 0;
  start(command < 0xc0 ? kWords : kBytes, t, argument16() + 1u);
}

void Sb16::start_packed(u8 command) {
  Transfer t;
  t.kind = Kind::kAdpcm;
  // Auto-initialized ones are 1Fh, 7Dh and 7Fh; they always begin with a reference.
  t.auto_init = (command & 0x08) != 0;
  t.wants_reference = (command & 1) != 0;
  t.packing = command < 0x20          ? AdpcmKind::kTwoBits
              : (command & 0x02) != 0 ? AdpcmKind::kThreeBits
                                      : AdpcmKind::kFourBits;
  if (!t.wants_reference) t.adpcm = state_.transfers[kBytes].adpcm;
  t.adpcm.left = 0;
  start(kBytes, t, t.auto_init ? state_.block_length + 1u : argument16() + 1u);
}

/// Commands that begin, hold or end a transfer; false for others.
bool Sb16::execute_transfer_command(u8 command) {
  if (command >= 0xb0 && command <= 0xcf) {
    start_pcm(command);
    return true;
  }
  Transfer pcm;
  pcm.kind = Kind::kPcm;
  switch (command) {
    case 0x14:
    case 0x15:
      start(kBytes, pcm, argument16() + 1u);
      break;
    case 0x91:  // high speed; the DSP 4.xx knows no other
      start(kBytes, pcm, state_.block_length + 1u);
      break;
    case 0x1c:
    case 0x90:
      pcm.auto_init = true;
      start(kBytes, pcm, state_.block_length + 1u);
      break;
    case 0x24:
      pcm.capture = true;
      start(kBytes, pcm, argument16() + 1u);
      break;
    case 0x99:
      pcm.capture = true;
      start(kBytes, pcm, state_.block_length + 1u);
      break;
    case 0x2c:
    case 0x98:
      pcm.capture = true;
      pcm.auto_init = true;
      start(kBytes, pcm, state_.block_length + 1u);
      break;
    case 0x16:
    case 0x17:
    case 0x1f:
    case 0x74:
    case 0x75:
    case 0x76:
    case 0x77:
    case 0x7d:
    case 0x7f:
      start_packed(command);
      break;
    case 0x80:
      pcm.kind = Kind::kSilence;
      start(kBytes, pcm, argument16() + 1u);
      break;
    case 0xd0:
      pause(kBytes);
      break;
    case 0xd4:
      resume(kBytes);
      break;
    case 0xd5:
      pause(kWords);
      break;
    case 0xd6:
      resume(kWords);
      break;
    case 0x45:  // go on after the end of this block
      state_.transfers[kBytes].auto_init = state_.transfers[kBytes].kind != Kind::kNone;
      break;
    case 0x47:
      state_.transfers[kWords].auto_init = state_.transfers[kWords].kind != Kind::kNone;
      break;
    case 0xda:  // end with this block
      state_.transfers[kBytes].auto_init = false;
      break;
    case 0xd9:
      state_.transfers[kWords].auto_init = false;
      break;
    default:
      return false;
  }
  return true;
}

void Sb16::execute() {
  const u8 command = state_.command;
  const u8 argument = state_.arguments[0];
  if (execute_transfer_command(command)) return;
  switch (command) {
    case 0x10:
      direct_output(argument);
      break;
    case 0x20:  // direct input: silence
      reply(0x80);
      break;
    case 0x34:  // MIDI UART; only a reset leads out
    case 0x35:
    case 0x36:
    case 0x37:
      state_.midi_uart = true;
      break;
    case 0x38:
      send_midi(argument);
      break;
    case 0x40:  // 256 - 1000000 / rate
      state_.output_rate =
          state_.input_rate = {1'000'000, std::max(256u - argument, kShortestPeriod)};
      break;
    case 0x41:  // high byte first
    case 0x42: {
      const u32 rate = std::clamp<u32>(static_cast<u32>(argument << 8 | state_.arguments[1]),
                                       kLowestRate, kHighestRate);
      (command == 0x41 ? state_.output_rate : state_.input_rate) = {rate, 1};
      break;
    }
    case 0x48:
      state_.block_length = argument16();
      break;
    case 0xd1:
      state_.speaker = true;
      break;
    case 0xd3:
      state_.speaker = false;
      break;
    case 0xd8:
      reply(state_.speaker ? 0xff : 0x00);
      break;
    case 0xe0:
      reply(static_cast<u8>(~argument));
      break;
    case 0xe1:
      reply(kVersionMajor);
      reply(kVersionMinor);
      break;
    case 0xe2:
      identify_by_dma(argument);
      break;
    case 0xe3:
      for (const char c : kCopyright) reply(static_cast<u8>(c));
      break;
    case 0xe4:
      state_.test = argument;
      break;
    case 0xe8:
      reply(state_.test);
      break;
    case 0xf2:
      set_interrupt(1, true);
      break;
    case 0xf3:
      set_interrupt(2, true);
      break;
    case 0xf8:  // undocumented; drivers look for the zero
      reply(0x00);
      break;
    case 0x08:  // no ASP answers
    case 0x0f:
      reply(0xff);
      break;
    case 0x04:
    case 0x05:
    case 0x0e:
    case 0xa0:  // mono and stereo input of the DSP 3.xx
    case 0xa8:
      break;
    default:
      log_.once(fmt::format("sb16 command {:02x}", command),
                "sb16: DSP command {:02x}h is not implemented", command);
      break;
  }
}

}  // namespace dragoman
