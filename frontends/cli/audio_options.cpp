#include "frontends/cli/audio_options.h"

#include <charconv>

#include "frontends/cli/nearest.h"

namespace dragoman {
namespace {

struct Named {
  const char* name;
  const char* help;
};
constexpr Named kDrivers[] = {
    {"sdl", "the host's sound card"},
    {"wav", "a recording; path=FILE"},
    {"none", "nowhere; the guest does not notice"},
};
/// Cards for -audio and -soundhw, and the names -device has for them.
constexpr Named kCards[] = {{"sb16", "sb16"}, {"adlib", "adlib"}, {"ac97", "AC97"}, {"pcspk", ""}};

template <std::size_t N>
Error unknown(std::string_view what, std::string_view name, std::string_view option,
              const Named (&known)[N]) {
  std::vector<std::string> names;
  std::string list;
  for (const Named& entry : known) {
    names.emplace_back(entry.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  const std::string nearest = nearest_word(name, names);
  return error("{} '{}' in {} is not available{}; known are {}", what, name, option,
               nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest), list);
}

Result<void> add_card(std::string_view card, const std::string& audiodev, std::string_view option,
                      Options& options) {
  for (const Named& entry : kCards) {
    if (card != entry.name) continue;
    if (card == "pcspk") {
      options.speaker_audiodev = audiodev;
    } else {
      const std::string property = audiodev.empty() ? "" : "audiodev=" + audiodev;
      options.devices.push_back({entry.help, KeyValues::parse(property, "")});
    }
    return {};
  }
  return unknown("sound card", card, option, kCards);
}

}  // namespace

Result<AudioOption> parse_audiodev(std::string_view text) {
  KeyValues values = KeyValues::parse(text, "driver");
  AudioOption audio;
  audio.driver = values.take("driver").value_or("");
  bool known = false;
  for (const Named& driver : kDrivers) known = known || audio.driver == driver.name;
  if (!known) return unknown("sound output", audio.driver, "-audiodev", kDrivers);
  if (auto v = values.take("id")) audio.id = *v;
  if (auto v = values.take("path")) {
    if (audio.driver != "wav") {
      return error("'path={}' in -audiodev {}: only -audiodev wav writes a file", *v, audio.driver);
    }
    audio.path = *v;
  }
  if (audio.driver == "wav" && audio.path.empty()) {
    return error("-audiodev wav needs path=FILE, the recording to write");
  }
  if (auto v = values.take("out.frequency")) {
    const auto [end, status] = std::from_chars(v->data(), v->data() + v->size(), audio.rate);
    if (status != std::errc() || end != v->data() + v->size() || audio.rate < 8000 ||
        audio.rate > 192'000) {
      return error("'out.frequency={}' in -audiodev: use 8000 to 192000, such as 44100", *v);
    }
  }
  if (auto v = values.take("out.channels"); v && *v != "2") {
    return error("'out.channels={}' in -audiodev: sound has two channels; leave it out", *v);
  }
  if (auto v = values.take("out.format"); v && *v != "s16") {
    return error("'out.format={}' in -audiodev: samples are s16; leave it out", *v);
  }
  // How the other emulator schedules its mixing; there is nothing of it to set here.
  for (const char* harmless : {"timer-period", "out.mixing-engine", "out.fixed-settings",
                               "out.buffer-length", "out.buffer-count", "in.mixing-engine"}) {
    (void)values.take(harmless);
  }
  if (auto ok = values.expect_empty("-audiodev", "driver, id, path, out.frequency"); !ok) {
    return ok.error();
  }
  return audio;
}

Result<void> parse_audio(std::string_view text, Options& options) {
  // The model is not a property of the output: it is cut out before the rest is read.
  std::string rest;
  std::string model;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    if (item.starts_with("model=")) {
      model = item.substr(6);
    } else {
      rest += (rest.empty() ? "" : ",") + std::string(item);
    }
    at = comma + 1;
  }
  auto audio = parse_audiodev(rest);
  if (!audio) return audio.error();
  if (audio->id.empty()) audio->id = "audio";
  options.audiodevs.push_back(*audio);
  if (model.empty()) return {};
  return add_card(model, audio->id, "-audio", options);
}

Result<void> parse_soundhw(std::string_view text, Options& options) {
  if (text == "all") text = "pcspk,sb16,ac97";  // the card has the synthesizer of an AdLib
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (auto ok = add_card(text.substr(at, comma - at), "", "-soundhw", options); !ok) return ok;
    at = comma + 1;
  }
  return {};
}

std::string audiodev_help() {
  std::string text = "Sound outputs for -audiodev DRIVER,id=NAME,out.frequency=48000:\n";
  for (const Named& driver : kDrivers) text += fmt::format("  {:<8}{}\n", driver.name, driver.help);
  text +=
      "Sound cards: -device sb16, -device adlib, -device AC97, each with audiodev=NAME, and the\n"
      "speaker, -machine pcspk-audiodev=NAME. Without a name all of them use the first "
      "-audiodev.\n";
  return text;
}

}  // namespace dragoman
