#include "frontends/trace/trace_page.h"

#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/types.h"

// Files of page/, put into the program by CMake.
#define PAGE_FILE(name)                          \
  extern "C" const char dragoman_trace_##name[]; \
  extern "C" const char dragoman_trace_##name##_end[];
PAGE_FILE(page_html)
PAGE_FILE(style_css)
PAGE_FILE(explain_js)
PAGE_FILE(model_js)
PAGE_FILE(list_js)
PAGE_FILE(region_js)
PAGE_FILE(graph_js)
PAGE_FILE(timeline_js)
PAGE_FILE(tables_js)
PAGE_FILE(main_js)
#undef PAGE_FILE

namespace dragoman {
namespace {

/// gzip, which browsers undo by DecompressionStream.
Result<std::vector<u8>> compressed(std::string_view text) {
  z_stream stream{};
  constexpr int kGzip = 15 + 16;
  if (deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    return error("zlib cannot compress the trace: no memory; use a smaller limit= in -trace");
  std::vector<u8> out(deflateBound(&stream, text.size()));
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END)
    return error("the trace of {} bytes is too large for a page; use a smaller limit= in -trace",
                 text.size());
  return out;
}

std::string base64(const std::vector<u8>& bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t left = bytes.size() - i;
    const u32 group = u32{bytes[i]} << 16 | (left > 1 ? u32{bytes[i + 1]} << 8 : 0) |
                      (left > 2 ? u32{bytes[i + 2]} : 0);
    for (unsigned k = 0; k < 4; ++k) text += k <= left ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

using nlohmann::json;

/// Regions whose code is compressed together.
constexpr std::size_t kChunk = 32;

/// What the list, the search and the graph need of a region; the rest goes into `detail`.
json outline_of(json region, json& detail) {
  std::set<std::string> mnemonics;
  std::map<std::string, unsigned> topics;
  json outline = json::array();
  for (const json& block : region["blocks"]) {
    std::size_t bytes = 0;
    for (const json& insn : block["instructions"]) {
      const std::string& text = insn["text"].get_ref<const std::string&>();
      mnemonics.insert(text.substr(0, text.find(' ')));
      bytes += insn["bytes"].get_ref<const std::string&>().size() / 2;
      for (const json& note : insn["plan"]) ++topics[note[0].get<std::string>()];
    }
    json item = {{"rip", block["rip"]}, {"bytes", bytes}};
    for (const char* name : {"symbol", "runs", "loop"}) {
      if (block.contains(name)) item[name] = block[name];
    }
    outline.push_back(std::move(item));
  }
  json ways = json::array();  // exits that were taken: address, times, translation linked to
  for (const json& exit : region["exits"]) {
    for (const json& target : exit.value("targets", json::array()))
      ways.push_back({target["rip"], target["count"]});
    if (exit["count"] == 0 || exit["kind"] == "hot" || !exit.contains("rip")) continue;
    ways.push_back({exit["rip"], exit["count"]});
    if (exit.contains("to")) ways.back().push_back(exit["to"]);
  }
  for (const char* name : {"blocks", "start", "leave", "groups", "exits"}) {
    if (!region.contains(name)) continue;
    detail[name] = std::move(region[name]);
    region.erase(name);
  }
  region["outline"] = std::move(outline);
  region["ways"] = std::move(ways);
  region["mnemonics"] = mnemonics;
  region["topics"] = topics;
  return region;
}

/// First the document with outlines of its regions, then their details in chunks, a line each,
/// which the page unpacks when one of them is opened: a browser takes seconds to read all of it.
Result<std::string> page_data(const TraceDocument& document) {
  std::string chunks, chunk;
  const auto script = [](const std::string& text) -> Result<std::string> {
    auto packed = compressed(text);
    if (!packed) return packed.error();
    return fmt::format("<script type=\"application/gzip\" class=\"data\">{}</script>\n",
                       base64(*packed));
  };
  json outlines = json::array();
  for (std::size_t i = 0; i < document.regions(); ++i) {
    json detail;
    outlines.push_back(outline_of(document.region(i), detail));
    chunk += json_text(detail);
    if ((i + 1) % kChunk != 0 && i + 1 != document.regions()) {
      chunk += '\n';
      continue;
    }
    auto part = script(chunk);
    if (!part) return part;
    chunks += *part;
    chunk.clear();
  }
  json frame = document.frame();
  frame["regions"] = std::move(outlines);
  auto first = script(json_text(frame));
  if (!first) return first;
  return *first + chunks;
}

}  // namespace

Result<std::string> trace_page(const TraceDocument& document) {
  auto data = page_data(document);
  if (!data) return data;
  // The page names where each piece belongs by a comment.
  struct Piece {
    std::string_view place;
    std::string text;
  };
  const auto file = [](const char* first, const char* end) { return std::string(first, end); };
#define PAGE_FILE(name) file(dragoman_trace_##name, dragoman_trace_##name##_end)
  const std::array pieces = {
      Piece{"<!--style-->", "<style>\n" + PAGE_FILE(style_css) + "</style>"},
      Piece{"<!--data-->", *data},
      Piece{"<!--program-->", "<script>\n\"use strict\";\n" + PAGE_FILE(explain_js) +
                                  PAGE_FILE(model_js) + PAGE_FILE(list_js) + PAGE_FILE(region_js) +
                                  PAGE_FILE(graph_js) + PAGE_FILE(timeline_js) +
                                  PAGE_FILE(tables_js) + PAGE_FILE(main_js) + "</script>"}};
  std::string page = PAGE_FILE(page_html);
#undef PAGE_FILE
  for (const Piece& piece : pieces) {
    const std::size_t at = page.find(piece.place);
    if (at != std::string::npos) page.replace(at, piece.place.size(), piece.text);
  }
  return page;
}

}  // namespace dragoman
