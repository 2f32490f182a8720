#include "frontends/trace/trace_page.h"

#include <zlib.h>

#include <array>
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

}  // namespace

Result<std::string> trace_page(std::string_view document) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  if (document.size() > kMost)
    return error("the trace of {} bytes is too large for a page; use a smaller limit= in -trace",
                 document.size());
  auto data = compressed(document);
  if (!data) return data.error();
  // The page names where each piece belongs by a comment.
  struct Piece {
    std::string_view place;
    std::string text;
  };
  const auto file = [](const char* first, const char* end) { return std::string(first, end); };
#define PAGE_FILE(name) file(dragoman_trace_##name, dragoman_trace_##name##_end)
  const std::array pieces = {
      Piece{"<!--style-->", "<style>\n" + PAGE_FILE(style_css) + "</style>"},
      Piece{"<!--data-->",
            "<script type=\"application/gzip\" id=\"data\">" + base64(*data) + "</script>"},
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
