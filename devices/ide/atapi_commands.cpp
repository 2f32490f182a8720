// The commands of the CD-ROM drive. MMC-3 (T10/1363-D), SPC-2 (T10/1236-D).
#include <algorithm>
#include <utility>

#include "devices/ide/atapi_cdrom.h"

namespace dragoman {
namespace {

// Sense keys (SPC-2, table 107) and additional sense codes (table 108).
constexpr u8 kNotReady = 2;
constexpr u8 kIllegalRequest = 5;
constexpr u8 kUnitAttention = 6;
constexpr u8 kInvalidCommand = 0x20;
constexpr u8 kLbaOutOfRange = 0x21;
constexpr u8 kInvalidField = 0x24;
constexpr u8 kInvalidParameter = 0x26;
constexpr u8 kSavingNotSupported = 0x39;
constexpr u8 kMediumNotPresent = 0x3a;
constexpr u8 kRemovalPrevented = 0x53;

constexpr u32 kFramesPerSecond = 75;
constexpr u32 kPregapFrames = 150;         // two seconds before LBA 0
constexpr u32 kLargestCdSectors = 449850;  // 99:59:74 less the pregap
constexpr u8 kLeadOut = 0xaa;
constexpr u8 kDataTrack = 0x14;  // ADR 1, control 4: data, copy prohibited

}  // namespace

void AtapiCdrom::put16(u32 at, u32 value) {
  state_.buffer[at] = static_cast<u8>(value >> 8);
  state_.buffer[at + 1] = static_cast<u8>(value);
}

void AtapiCdrom::put32(u32 at, u32 value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

void AtapiCdrom::put_position(u32 at, u32 lba, bool msf) {
  if (!msf) return put32(at, lba);
  const u32 frames = lba + kPregapFrames;
  state_.buffer[at] = 0;
  state_.buffer[at + 1] = static_cast<u8>(frames / kFramesPerSecond / 60);
  state_.buffer[at + 2] = static_cast<u8>(frames / kFramesPerSecond % 60);
  state_.buffer[at + 3] = static_cast<u8>(frames % kFramesPerSecond);
}

/// For commands that need a disc: false after the sense was set.
bool AtapiCdrom::ready() {
  if (disc_readable()) return true;
  check_condition(kNotReady, kMediumNotPresent, state_.tray_open ? 2 : 1);
  return false;
}

void AtapiCdrom::execute_packet() {
  const u8 command = packet(0);
  // Only these do not report a pending unit attention (SPC-2, 5.6.1; MMC-3, 5.2.1).
  const bool quiet = command == 0x03 || command == 0x12 || command == 0x46 || command == 0x4a;
  if (state_.attention != 0 && !quiet) {
    const u8 code = state_.attention;
    state_.attention = 0;
    return check_condition(kUnitAttention, code);
  }
  if (command != 0x03) state_.sense_key = state_.sense_code = state_.sense_qualifier = 0;
  std::fill_n(state_.buffer.begin(), 512, u8{0});  // replies are built on zeros
  switch (command) {
    case 0x00:  // TEST UNIT READY
      if (ready()) packet_complete();
      return;
    case 0x03:
      return request_sense();
    case 0x12:
      return inquiry();
    case 0x15:  // MODE SELECT (6)
      return receive_parameters(packet(4));
    case 0x1a:  // MODE SENSE (6)
      return mode_sense(false);
    case 0x1b:
      return start_stop();
    case 0x1e:  // PREVENT ALLOW MEDIUM REMOVAL
      state_.tray_locked = (packet(4) & 1) != 0;
      return packet_complete();
    case 0x25:
      return read_capacity();
    case 0x28:  // READ (10)
      return read(packet16(7));
    case 0xa8:  // READ (12)
      return read(packet32(6));
    case 0x2b:  // SEEK (10)
      if (!ready()) return;
      if (packet32(2) >= sectors()) return check_condition(kIllegalRequest, kLbaOutOfRange);
      return packet_complete();
    case 0x43:
      return read_toc();
    case 0x44:
      return read_header();
    case 0x46:
      return get_configuration();
    case 0x4a:
      return get_event_status();
    case 0x51:
      return read_disc_information();
    case 0x52:
      return read_track_information();
    case 0x55:  // MODE SELECT (10)
      return receive_parameters(packet16(7));
    case 0x5a:  // MODE SENSE (10)
      return mode_sense(true);
    case 0xbb:  // SET CD SPEED: every speed is as good
      return packet_complete();
    case 0xbd:
      return mechanism_status();
    case 0xbe:
      return read_cd();
    default:
      return check_condition(kIllegalRequest, kInvalidCommand);
  }
}

void AtapiCdrom::request_sense() {
  u8 key = state_.sense_key;
  u8 code = state_.sense_code;
  if (key == 0 && state_.attention != 0) {
    key = kUnitAttention;
    code = std::exchange(state_.attention, u8{0});
  }
  state_.buffer[0] = 0x70;  // current error, fixed format
  state_.buffer[2] = key;
  state_.buffer[7] = 10;
  state_.buffer[12] = code;
  state_.buffer[13] = state_.sense_qualifier;
  state_.sense_key = state_.sense_code = state_.sense_qualifier = 0;
  reply(18, packet(4));
}

void AtapiCdrom::inquiry() {
  if ((packet(1) & 3) != 0 || packet(2) != 0) {
    return check_condition(kIllegalRequest, kInvalidField);  // no vital product data
  }
  const auto put_text = [&](u32 at, std::string_view text) {
    std::copy(text.begin(), text.end(), state_.buffer.begin() + at);
  };
  state_.buffer[0] = 0x05;  // CD-ROM device
  state_.buffer[1] = 0x80;  // removable
  state_.buffer[3] = 0x21;  // ATAPI version 2, response format 1
  state_.buffer[4] = 31;
  put_text(8, "DRAGOMAN");
  put_text(16, "CD-ROM          ");
  put_text(32, "1.0 ");
  reply(36, packet(4));
}

void AtapiCdrom::read(u32 count) {
  if (!ready()) return;
  const u32 lba = packet32(2);
  const u32 total = sectors();
  if (lba > total || count > total - lba || (count == 0 && lba >= total)) {
    return check_condition(kIllegalRequest, kLbaOutOfRange);
  }
  send_sectors(lba, count);
}

void AtapiCdrom::read_cd() {
  const u8 sector_type = packet(1) >> 2 & 7;
  // Any type, or mode 1: the only kind of sector on these discs.
  if (sector_type != 0 && sector_type != 2) {
    return check_condition(kIllegalRequest, 0x64);  // illegal mode for this track
  }
  const u32 count = static_cast<u32>(packet(6) << 16) | packet16(7);
  if ((packet(9) & 0xf8) == 0) return read(0);  // no part of the sector asked for
  if ((packet(9) & 0xfe) != 0x10 || (packet(10) & 7) != 0) {
    // Images hold user data only: no sync, header, EDC/ECC or subchannel bytes.
    return check_condition(kIllegalRequest, kInvalidField);
  }
  read(count);
}

void AtapiCdrom::read_capacity() {
  if (!ready()) return;
  put32(0, sectors() - 1);
  put32(4, 2048);
  reply(8, 8);
}

void AtapiCdrom::read_header() {
  if (!ready()) return;
  const u32 lba = packet32(2);
  if (lba >= sectors()) return check_condition(kIllegalRequest, kLbaOutOfRange);
  state_.buffer[0] = 1;  // mode 1 data
  put_position(4, lba, (packet(1) & 2) != 0);
  reply(8, packet16(7));
}

void AtapiCdrom::read_toc() {
  if (!ready()) return;
  const bool msf = (packet(1) & 2) != 0;
  u8 format = packet(2) & 0x0f;
  if (format == 0) format = packet(9) >> 6;  // where SFF-8020i had it
  const u8 first = packet(6);
  const u8 count = static_cast<u8>(sessions_.size());
  u32 at = 4;
  state_.buffer[2] = 1;  // first and last track or session
  state_.buffer[3] = count;
  const auto track = [&](u8 number, u32 lba) {
    state_.buffer[at + 1] = kDataTrack;
    state_.buffer[at + 2] = number;
    put_position(at + 4, lba, msf);
    at += 8;
  };
  switch (format) {
    case 0:
      if (first > count && first != kLeadOut) {
        return check_condition(kIllegalRequest, kInvalidField);
      }
      for (u8 number = std::max<u8>(first, 1); number <= count; ++number) {
        track(number, sessions_[number - 1u].start);
      }
      track(kLeadOut, sectors());
      break;
    case 1:  // the first track of the last session
      track(count, sessions_.back().start);
      break;
    case 2:  // raw entries of each lead-in: first track, last track, lead-out, the track
      for (u8 number = std::max<u8>(first, 1); number <= count; ++number) {
        const CdSession& session = sessions_[number - 1u];
        const auto entry = [&](u8 point) {
          state_.buffer[at] = number;
          state_.buffer[at + 1] = kDataTrack;
          state_.buffer[at + 3] = point;
          at += 11;
          return at - 11 + 8;  // where minute, second, frame go
        };
        state_.buffer[entry(0xa0)] = number;
        state_.buffer[entry(0xa1)] = number;
        // A position begins with a byte of zero, which falls on one that is zero anyway.
        put_position(entry(0xa2) - 1, session.end, true);
        put_position(entry(number) - 1, session.start, true);
      }
      break;
    default:
      return check_condition(kIllegalRequest, kInvalidField);
  }
  put16(0, at - 2);
  reply(at, packet16(7));
}

void AtapiCdrom::get_configuration() {
  constexpr u16 kCdRom = 0x0008;
  constexpr u16 kDvdRom = 0x0010;
  const bool present = disc_readable();
  const bool dvd = sectors() > kLargestCdSectors;
  const u16 profile = !present ? 0 : dvd ? kDvdRom : kCdRom;
  const u8 request = packet(1) & 3;
  if (request == 3) return check_condition(kIllegalRequest, kInvalidField);
  const u32 first = packet16(2);
  u32 at = 8;
  bool done = false;
  // `flags`: version and persistent bit of the feature, byte 2 of its descriptor.
  const auto feature = [&](u32 code, u8 flags, bool current, std::initializer_list<u8> data) {
    if (code < first || done || (request == 2 && code != first) || (request == 1 && !current)) {
      return;
    }
    put16(at, code);
    state_.buffer[at + 2] = static_cast<u8>(flags | (current ? 1 : 0));
    state_.buffer[at + 3] = static_cast<u8>(data.size());
    std::copy(data.begin(), data.end(), state_.buffer.begin() + at + 4);
    at += 4 + static_cast<u32>(data.size());
    done = request == 2;
  };
  const u8 is_cd = present && !dvd ? 1 : 0;
  const u8 is_dvd = present && dvd ? 1 : 0;
  feature(0x0000, 0x02, true, {0, kDvdRom, is_dvd, 0, 0, kCdRom, is_cd, 0});  // profile list
  feature(0x0001, 0x02, true, {0, 0, 0, 2});                                  // core: ATAPI
  feature(0x0002, 0x02, true, {0x02, 0, 0, 0});                               // morphing: events
  feature(0x0003, 0x02, true, {0x29, 0, 0, 0});              // removable: tray, eject, lock
  feature(0x0010, 0x00, present, {0, 0, 8, 0, 0, 1, 0, 0});  // random readable: 2048 bytes
  feature(0x001d, 0x00, is_cd != 0, {});                     // multi-read
  feature(0x001e, 0x00, is_cd != 0, {0, 0, 0, 0});           // CD read
  feature(0x001f, 0x00, is_dvd != 0, {});                    // DVD read
  feature(0x0100, 0x02, true, {});                           // power management
  feature(0x0105, 0x02, true, {});                           // time-out
  put32(0, at - 4);
  put16(6, profile);
  reply(at, packet16(7));
}

void AtapiCdrom::get_event_status() {
  if ((packet(1) & 1) == 0) {  // asynchronous notification is not supported
    return check_condition(kIllegalRequest, kInvalidField);
  }
  constexpr u8 kMediaClass = 4;
  const bool media = (packet(4) & (1 << kMediaClass)) != 0;
  state_.buffer[3] = 1 << kMediaClass;  // supported classes
  if (!media) {
    put16(0, 2);
    state_.buffer[2] = 0x80;  // no event available
    return reply(4, packet16(7));
  }
  put16(0, 6);
  state_.buffer[2] = kMediaClass;
  state_.buffer[4] = state_.media_event;
  state_.buffer[5] = static_cast<u8>((medium_ != nullptr && !state_.tray_open ? 2 : 0) |
                                     (state_.tray_open ? 1 : 0));
  if (packet16(7) > 4) state_.media_event = 0;
  reply(8, packet16(7));
}

void AtapiCdrom::read_disc_information() {
  if (!ready()) return;
  put16(0, 32);
  state_.buffer[2] = 0x0e;  // complete disc, complete last session
  state_.buffer[3] = 1;     // first track
  const u8 count = static_cast<u8>(sessions_.size());
  state_.buffer[4] = count;  // sessions
  state_.buffer[5] = count;  // first and last track of the last session
  state_.buffer[6] = count;
  state_.buffer[7] = 0x20;  // unrestricted use
  put32(16, 0xffffffff);    // no further lead-in and lead-out
  put32(20, 0xffffffff);
  reply(34, packet16(7));
}

void AtapiCdrom::read_track_information() {
  if (!ready()) return;
  const u32 number = packet32(2);
  std::size_t session = sessions_.size();
  switch (packet(1) & 3) {
    case 0:
      if (number < sectors()) session = session_of(number);
      break;
    case 1:  // track number
    case 2:  // session number
      if (number >= 1 && number <= sessions_.size()) session = number - 1;
      break;
    default:
      break;
  }
  if (session == sessions_.size()) return check_condition(kIllegalRequest, kInvalidField);
  put16(0, 34);
  state_.buffer[2] = static_cast<u8>(session + 1);  // track
  state_.buffer[3] = static_cast<u8>(session + 1);  // session
  state_.buffer[5] = 4;                             // data track
  state_.buffer[6] = 1;                             // mode 1
  put32(8, sessions_[session].start);
  put32(24, sessions_[session].end - sessions_[session].start);
  reply(36, packet16(7));
}

void AtapiCdrom::mechanism_status() {
  state_.buffer[1] = state_.tray_open ? 0x10 : 0;  // door open; no changer, so no slot table
  reply(8, packet16(8));
}

void AtapiCdrom::start_stop() {
  const bool load_eject = (packet(4) & 2) != 0;
  const bool start = (packet(4) & 1) != 0;
  if (load_eject && !start) {
    if (state_.tray_locked) return check_condition(kIllegalRequest, kRemovalPrevented, 2);
    if (!state_.tray_open) state_.media_event = 3;
    state_.tray_open = true;
  } else if (load_eject) {
    if (state_.tray_open && medium_ != nullptr) {
      state_.attention = 0x28;
      state_.media_event = 2;
    }
    state_.tray_open = false;
  } else if (start && !ready()) {
    return;
  }
  if (load_eject && tray_listener_) tray_listener_(state_.tray_open);
  packet_complete();
}

u32 AtapiCdrom::put_mode_page(u8 page, u8 control, u32 at) {
  const auto put = [&](std::initializer_list<u8> bytes) {
    std::copy(bytes.begin(), bytes.end(), state_.buffer.begin() + at);
    return static_cast<u32>(bytes.size());
  };
  const bool changeable = control == 1;
  u32 size = 0;
  switch (page) {
    case 0x01: {  // read error recovery
      const u8 retries = changeable ? u8{0xff} : control == 2 ? u8{5} : state_.retries;
      return put({0x01, 6, 0, retries, 0, 0, 0, 0});
    }
    case 0x0d:  // CD device parameters: 60 seconds per minute, 75 frames per second
      size = put({0x0d, 6, 0, 0x0d, 0, 60, 0, 75});
      break;
    case 0x1a:  // power condition
      size = put({0x1a, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
      break;
    case 0x1d:  // time-out and protect
      size = put({0x1d, 8, 0, 0, 0, 0, 0, 5, 0, 5});
      break;
    case 0x2a: {  // capabilities and mechanical status
      const u8 locked = state_.tray_locked ? 2 : 0;
      // Reads CD-R, CD-RW, DVD-ROM; multi-session; tray with lock and eject; 24x, 128 KiB buffer.
      size = put({0x2a, 20,   0x0b, 0, 0x70, 0, static_cast<u8>(0x29 | locked),
                  0,    0x10, 0x89, 0, 0,    0, 128,
                  0x10, 0x89, 0,    0, 0,    0, 0,
                  0});
      break;
    }
    default:
      return 0;
  }
  if (changeable) std::fill_n(state_.buffer.begin() + at + 2, size - 2, u8{0});
  return size;
}

void AtapiCdrom::mode_sense(bool ten) {
  const u8 control = packet(2) >> 6;
  const u8 page = packet(2) & 0x3f;
  if (control == 3) return check_condition(kIllegalRequest, kSavingNotSupported);
  const u32 header = ten ? 8 : 4;
  u32 at = header;
  if (page == 0x3f) {
    for (const u8 each : {0x01, 0x0d, 0x1a, 0x1d, 0x2a}) at += put_mode_page(each, control, at);
  } else {
    at += put_mode_page(page, control, at);
    if (at == header) return check_condition(kIllegalRequest, kInvalidField);
  }
  const u8 medium_type = state_.tray_open ? 0x71 : medium_ == nullptr ? 0x70 : 0x01;
  if (ten) {
    put16(0, at - 2);
    state_.buffer[2] = medium_type;
    return reply(at, packet16(7));
  }
  state_.buffer[0] = static_cast<u8>(at - 1);
  state_.buffer[1] = medium_type;
  reply(at, packet(4));
}

/// The parameter list of MODE SELECT has arrived: pages must be known, and only the retry count
/// of page 01h may differ from what it is.
void AtapiCdrom::mode_select_data() {
  const bool ten = packet(0) == 0x55;
  const u32 header = ten ? 8 : 4;
  const u32 total = state_.buffer_end;
  const auto parameters = state_.buffer;
  if (total < header) return check_condition(kIllegalRequest, 0x1a);
  const u32 descriptors =
      ten ? static_cast<u32>(parameters[6] << 8 | parameters[7]) : parameters[3];
  u32 at = header + descriptors;
  while (at + 2 <= total) {
    const u8 page = parameters[at] & 0x3f;
    const u32 length = 2u + parameters[at + 1];
    if (at + length > total) return check_condition(kIllegalRequest, 0x1a);
    const u32 known = put_mode_page(page, 0, 0);
    if (known == 0 || known != length) return check_condition(kIllegalRequest, kInvalidParameter);
    for (u32 i = 2; i < length; ++i) {
      const bool retry_count = page == 0x01 && i == 3;
      if (!retry_count && parameters[at + i] != state_.buffer[i]) {
        return check_condition(kIllegalRequest, kInvalidParameter);
      }
    }
    if (page == 0x01) state_.retries = parameters[at + 3];
    at += length;
  }
  packet_complete();
}

}  // namespace dragoman
