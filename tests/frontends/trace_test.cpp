// Options, symbols, the timeline, and traces of small pieces of code as files.
#include <elf.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "frontends/cli/options.h"
#include "frontends/trace/snippet.h"
#include "frontends/trace/symbols.h"
#include "frontends/trace/timeline.h"
#include "frontends/trace/trace_options.h"
#include "frontends/trace/trace_page.h"
#include "jit/plan_text.h"

namespace dragoman {
namespace {

using nlohmann::json;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// --- Options ----------------------------------------------------------------------------------

TEST(TraceOptions, FormatFollowsTheName) {
  EXPECT_EQ(parse_trace_options("a.html")->format, TraceFormat::kHtml);
  EXPECT_EQ(parse_trace_options("a.json")->format, TraceFormat::kJson);
  EXPECT_EQ(parse_trace_options("a.trace.json")->format, TraceFormat::kChrome);
  EXPECT_EQ(parse_trace_options("a,format=chrome")->format, TraceFormat::kChrome);
  EXPECT_EQ(parse_trace_options("a.pdf,format=html")->format, TraceFormat::kHtml);
  EXPECT_EQ(parse_trace_options("a.htm")->format, TraceFormat::kHtml);
  for (const char* name : {"x.pdf", "x", "./x", "a.html/x", "x.html.gz"}) {
    const auto o = parse_trace_options(name);
    ASSERT_FALSE(o.ok()) << name;
    EXPECT_NE(o.error().message.find(".trace.json"), std::string::npos) << o.error().message;
    EXPECT_EQ(o.error().message.find("did you mean"), std::string::npos) << o.error().message;
  }
  EXPECT_NE(parse_trace_options("b/x.htlm").error().message.find("did you mean 'b/x.html'?"),
            std::string::npos);
}

TEST(TraceOptions, FiltersChoose) {
  const auto o = parse_trace_options("a.html,limit=5,first,range=0x1000-0x1fff,ring=3,cr3=0x5000");
  ASSERT_TRUE(o.ok());
  EXPECT_EQ(o->limit, 5u);
  EXPECT_FALSE(o->hottest);
  EXPECT_TRUE(o->wants(0x1fff, 3, 0x5000));
  EXPECT_TRUE(o->wants(0x1000, 3, 0x5018));  // the low bits are a PCID
  EXPECT_FALSE(o->wants(0x2000, 3, 0x5000));
  EXPECT_FALSE(o->wants(0x1000, 0, 0x5000));
  EXPECT_FALSE(o->wants(0x1000, 3, 0x6000));
  const auto two = parse_trace_options("a.html,ring=0,ring=3,range=0x10+0x10");
  EXPECT_TRUE(two->wants(0x1f, 0, 0));
  EXPECT_TRUE(two->wants(0x10, 3, 0));
  EXPECT_FALSE(two->wants(0x20, 3, 0));
  EXPECT_FALSE(two->wants(0x10, 1, 0));
}

TEST(TraceOptions, WrongOnesAreNamed) {
  for (const char* text :
       {"", "limit=3", "a.html,limit=0", "a.html,limit=x", "a.html,ring=4", "a.html,range=5",
        "a.html,range=9-5", "a.html,format=pdf", "a.html,colour=red", "a.html,samples=maybe"}) {
    const auto o = parse_trace_options(text);
    ASSERT_FALSE(o.ok()) << text;
    EXPECT_NE(o.error().message.find("-trace"), std::string::npos) << o.error().message;
  }
}

TEST(TraceOptions, TheCommandLineTakesThem) {
  const auto parse = [](std::vector<const char*> words) {
    words.insert(words.begin(), "dragoman");
    return parse_options(static_cast<int>(words.size()), words.data());
  };
  const auto good = parse({"-trace", "a.html,limit=7", "-trace-symbols", "b.map,slide=-0x1000"});
  ASSERT_TRUE(good.ok());
  ASSERT_TRUE(good->options.trace.has_value());
  EXPECT_EQ(good->options.trace->limit, 7u);
  ASSERT_EQ(good->options.trace_symbols.size(), 1u);
  EXPECT_EQ(good->options.trace_symbols[0].slide, -0x1000);
  EXPECT_EQ(good->options.command,
            "dragoman -trace a.html,limit=7 -trace-symbols b.map,slide=-0x1000");
  EXPECT_FALSE(parse({"-trace", "a.html", "-accel", "lockstep"}).ok());
  EXPECT_FALSE(parse({"-trace", "a.html,limit=0"}).ok());
  EXPECT_FALSE(parse({"-trace-symbols", "b.map,offset=1"}).ok());
}

// --- Symbols ----------------------------------------------------------------------------------

Result<void> add_text(Symbols& symbols, std::string_view text, i64 slide = 0, bool find = false) {
  return symbols.add({reinterpret_cast<const u8*>(text.data()), text.size()}, "test", slide, find);
}

TEST(Symbols, ReadsASystemMap) {
  Symbols symbols;
  ASSERT_TRUE(add_text(symbols,
                       "ffffffff81000000 T _text\nffffffff81000040 t helper\n"
                       "ffffffff81000100 T later\t[module]\nnonsense\n0000 A zero\n")
                  .ok());
  EXPECT_EQ(symbols.name_of(0xffffffff81000000), "_text");
  EXPECT_EQ(symbols.name_of(0xffffffff81000041), "helper+0x1");
  EXPECT_EQ(symbols.name_of(0xffffffff81000100), "later");
  EXPECT_EQ(symbols.name_of(0xffffffff80ffffff), "");
  EXPECT_EQ(symbols.name_of(0xffffffff82000100), "");
  EXPECT_EQ(symbols.address_of("helper"), 0xffffffff81000040);
}

TEST(Symbols, SlideIsAddedOrFoundBySyscallEntry) {
  Symbols given;
  ASSERT_TRUE(add_text(given, "1000 T f\n", 0x500).ok());
  EXPECT_EQ(given.name_of(0x1500), "f");
  Symbols found;
  ASSERT_TRUE(add_text(found,
                       "0000000000001000 D per_cpu\nffffffff81000000 T _text\n"
                       "ffffffff81a00000 T entry_SYSCALL_64\n",
                       0, true)
                  .ok());
  found.set_system_call_entry(0xffffffff8fa00000);
  EXPECT_EQ(found.name_of(0xffffffff8f000000), "_text");
  EXPECT_EQ(found.name_of(0x1000), "per_cpu");
  found.set_system_call_entry(0xffffffff8fa00123);  // no page's distance: another kernel's
  EXPECT_EQ(found.name_of(0xffffffff8f000000), "_text");
}

std::vector<u8> small_elf() {
  // Header, a symbol table, its strings, two section headers.
  std::vector<u8> bytes(512);
  const auto put = [&](std::size_t at, const auto& value) {
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_shoff = 256;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 2;
  put(0, header);
  Elf64_Sym symbol{};
  symbol.st_name = 1;
  symbol.st_info = STT_FUNC;
  symbol.st_shndx = 1;
  symbol.st_value = 0x401000;
  put(128, symbol);
  std::memcpy(bytes.data() + 192, "\0main", 6);
  Elf64_Shdr table{}, strings{};
  table.sh_type = SHT_SYMTAB;
  table.sh_offset = 128;
  table.sh_size = sizeof symbol;
  table.sh_link = 1;
  strings.sh_type = SHT_STRTAB;
  strings.sh_offset = 192;
  strings.sh_size = 6;
  put(256, table);
  put(256 + sizeof table, strings);
  return bytes;
}

TEST(Symbols, ReadsElfFilesAndSurvivesDamagedOnes) {
  const std::vector<u8> good = small_elf();
  Symbols symbols;
  ASSERT_TRUE(symbols.add(good, "elf", 0, false).ok());
  EXPECT_EQ(symbols.name_of(0x401003), "main+0x3");
  for (std::size_t length = 0; length < good.size(); ++length) {
    Symbols cut;
    (void)cut.add({good.data(), length}, "cut", 0, false);
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::vector<u8> bad = good;
    bad[at] = 0xff;
    Symbols damaged;
    (void)damaged.add(bad, "damaged", 0, false);
  }
  Symbols none;
  EXPECT_FALSE(add_text(none, "hello\nworld\n").ok());
}

// --- Timeline ---------------------------------------------------------------------------------

TEST(Timeline, KeepsTheWholeRunInBoundedSlots) {
  Timeline timeline(100);
  constexpr u64 kMs = 1'000'000;
  for (u64 i = 0; i < 5000; ++i) timeline.count(i * kMs, TimelineCount::kPageFaults);
  EXPECT_LE(timeline.slots().size(), Timeline::kMostSlots);
  EXPECT_EQ(timeline.slot_ns(), 8 * kMs);
  u64 sum = 0;
  for (const auto& slot : timeline.slots())
    sum += slot[static_cast<std::size_t>(TimelineCount::kPageFaults)];
  EXPECT_EQ(sum, 5000u);
}

TEST(Timeline, SharesTimeOutAmongTheSlotsItCovers) {
  Timeline timeline(10);
  constexpr u64 kUs = 1000, kMs = 1'000'000;
  const auto spent = [&](u64 slot, TimelineCount what) {
    return timeline.slots()[slot][static_cast<std::size_t>(what)];
  };
  timeline.spend(0, 400 * kUs, TimelineCount::kTimeKernel);
  timeline.spend(400 * kUs, 3 * kMs + 100 * kUs, TimelineCount::kTimeHalted);
  for (u64 at = 0; at < 1000; ++at)  // shorter than a microsecond
    timeline.spend(4 * kMs + at * 100, 4 * kMs + (at + 1) * 100, TimelineCount::kTimeUser);
  EXPECT_EQ(spent(0, TimelineCount::kTimeKernel), 400u);
  EXPECT_EQ(spent(0, TimelineCount::kTimeHalted), 600u);
  EXPECT_EQ(spent(1, TimelineCount::kTimeHalted), 1000u);
  EXPECT_EQ(spent(3, TimelineCount::kTimeHalted), 100u);
  EXPECT_EQ(spent(4, TimelineCount::kTimeUser), 100u);
  timeline.spend(10 * kMs, 3000 * kMs, TimelineCount::kTimeHalted);  // slots become longer
  u64 sum = 0;
  for (const auto& slot : timeline.slots())
    sum += slot[static_cast<std::size_t>(TimelineCount::kTimeHalted)];
  EXPECT_EQ(sum, 2'700u + 2'990'000);
}

TEST(Timeline, KeepsTheFirstAndTheNewestEvents) {
  Timeline timeline(10);
  for (u64 i = 0; i < 100; ++i) {
    FaultRecord record;
    record.vector = static_cast<u8>(i);
    timeline.add_event({i, i}, record);
  }
  const auto events = timeline.events();
  ASSERT_EQ(events.size(), 12u);
  EXPECT_EQ(events.front().record.vector, 0);
  EXPECT_EQ(events[5].record.vector, 5);
  EXPECT_EQ(events[6].record.vector, 94);
  EXPECT_EQ(events.back().record.vector, 99);
  EXPECT_EQ(timeline.events_seen(), 100u);
}

// --- Traces of code ---------------------------------------------------------------------------

class SnippetTest : public testing::Test {
 protected:
  /// Writes `code` to a file, traces it and reads the result.
  std::string trace(const std::vector<u8>& code, const std::string& name) {
    const std::string folder = testing::TempDir();
    options.file = folder + "snippet.bin";
    std::ofstream(options.file, std::ios::binary)
        .write(reinterpret_cast<const char*>(code.data()),
               static_cast<std::streamsize>(code.size()));
    options.trace = parse_trace_options(folder + name).value();
    options.trace->samples = false;
    options.command = "test";
    const auto done = trace_snippet(options);
    EXPECT_TRUE(done.ok()) << (done.ok() ? "" : done.error().message);
    return read_file(folder + name);
  }
  SnippetOptions options;
};

/// 64-bit: mov ecx, 8000; loop: mov rdx, [rsi]; add rax, [rsi+8]; dec ecx; jnz loop; hlt
const std::vector<u8> kLoop = {0xb9, 0x40, 0x1f, 0,    0,    0x48, 0x8b, 0x16, 0x48,
                               0x03, 0x46, 0x08, 0xff, 0xc9, 0x75, 0xf5, 0xf4};

const json* region_at(const json& trace, const std::string& rip, const std::string& kind) {
  for (const json& r : trace["regions"]) {
    if (r["rip"] == rip && r["kind"] == kind) return &r;
  }
  return nullptr;
}

TEST_F(SnippetTest, TranslatesWhatCanBeReachedWithoutRunningIt) {
  const json t = json::parse(trace(kLoop, "loop.json"));
  EXPECT_EQ(t["dragoman_trace"], 1);
  const json* whole = region_at(t, "0x400000", "block");
  const json* loop = region_at(t, "0x400005", "block");
  ASSERT_NE(whole, nullptr);
  ASSERT_NE(loop, nullptr);
  const json& insns = (*loop)["blocks"][0]["instructions"];
  ASSERT_GE(insns.size(), 4u);
  EXPECT_EQ(insns[0]["text"], "mov rdx, qword ptr [rsi]");
  EXPECT_EQ(insns.back()["text"], "hlt");  // a conditional branch does not end a block
  EXPECT_EQ(insns[0]["bytes"], "488b16");
  EXPECT_EQ(insns[0]["rip"], "0x400005");
  EXPECT_EQ(insns[1]["text"], "add rax, qword ptr [rsi+0x8]");
  for (const json& insn : insns) EXPECT_FALSE(insn["plan"].empty());
  // Two loads off the same register: the first looks up the page for both.
  EXPECT_NE(insns[0]["plan"].dump().find("leader"), std::string::npos);
  EXPECT_NE(insns[1]["plan"].dump().find("member"), std::string::npos);
  EXPECT_GT(insns[0]["host"].size(), insns[1]["host"].size());
  EXPECT_FALSE(insns[0]["rare"].empty());
  EXPECT_NE(insns[0]["host"].dump().find("probe of 16 bytes for reading"), std::string::npos);
  EXPECT_NE(insns[1]["host"].dump().find("add rax, qword ptr"), std::string::npos);
}

TEST_F(SnippetTest, RunningShowsChainingAndSuperblocks) {
  options.run = 100'000;
  options.translator.runs_before_superblock = 1000;
  options.translator.sampling = false;
  const json t = json::parse(trace(kLoop, "run.json"));
  const json* block = region_at(t, "0x400005", "block");
  const json* super = region_at(t, "0x400005", "superblock");
  ASSERT_NE(block, nullptr);
  ASSERT_NE(super, nullptr);
  EXPECT_EQ((*block)["retired"]["why"], "a superblock took its place");
  EXPECT_FALSE((*block)["links"].empty());
  EXPECT_GT((*super)["executed"].get<u64>(), 1000u);
  EXPECT_NE((*super)["plan"].get<std::string>().find("superblock"), std::string::npos);
  EXPECT_TRUE((*super)["blocks"].dump().find("\"loop\"") != std::string::npos);
}

TEST_F(SnippetTest, SwitchesShow) {
  const json called = json::parse(trace(kLoop, "called.json"));
  EXPECT_EQ(called["switches"]["called_probes"], true);
  EXPECT_EQ(region_at(called, "0x400005", "block")->dump().find("shadow_table"), std::string::npos);
  options.translator.called_probes = false;  // as superblocks look pages up
  const json with = json::parse(trace(kLoop, "with.json"));
  options.translator.shared_probes = false;
  options.translator.flag_liveness = false;
  const json without = json::parse(trace(kLoop, "without.json"));
  const json* a = region_at(with, "0x400005", "block");
  const json* b = region_at(without, "0x400005", "block");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_NE(a->dump().find("shadow_table"), std::string::npos);
  EXPECT_LT((*a)["host_bytes"].get<u64>(), (*b)["host_bytes"].get<u64>());
  EXPECT_EQ(b->dump().find("\"member\""), std::string::npos);
  EXPECT_EQ(without["switches"]["probes"], false);
  EXPECT_EQ(without["switches"]["called_probes"], false);
}

TEST_F(SnippetTest, OtherModes) {
  options.bits = 16;  // mov ax, [0x10]; jmp $-5
  const json real = json::parse(trace({0xa1, 0x10, 0x00, 0xeb, 0xfb}, "real.json"));
  const json* r = region_at(real, "0x7c00", "block");
  ASSERT_NE(r, nullptr);
  EXPECT_EQ((*r)["bits"], 16);
  options.bits = 32;
  const json flat = json::parse(trace({0x8b, 0x03, 0xc3}, "flat.json"));  // mov eax, [ebx]; ret
  ASSERT_NE(region_at(flat, "0x100000", "block"), nullptr);
}

TEST_F(SnippetTest, BaseMustLeaveRoom) {
  options.base = kGiB;
  options.file = "/dev/null";
  EXPECT_FALSE(trace_snippet(options).ok());
}

TEST_F(SnippetTest, FilesThatCannotBeWrittenAreErrors) {
  options.file = testing::TempDir() + "snippet.bin";
  std::ofstream(options.file) << "\xc3";
  options.trace = parse_trace_options("/nowhere/at/all.html").value();
  const auto done = trace_snippet(options);
  ASSERT_FALSE(done.ok());
  EXPECT_NE(done.error().message.find("/nowhere/at/all.html"), std::string::npos);
}

TEST_F(SnippetTest, ChromeEventsHaveWhatPerfettoAsksFor) {
  options.run = 100'000;
  const json t = json::parse(trace(kLoop, "loop.trace.json"));
  ASSERT_TRUE(t["traceEvents"].is_array());
  // Trace Event Format (Google, 2016): every event has these, metadata ("M") no time.
  std::map<std::string, int> open;
  for (const json& e : t["traceEvents"]) {
    ASSERT_TRUE(e.contains("ph") && e.contains("name") && e.contains("pid") && e.contains("tid"));
    const std::string ph = e["ph"];
    EXPECT_NE(std::string("XibeCM").find(ph), std::string::npos) << e;
    if (ph != "M") {
      EXPECT_TRUE(e["ts"].is_number());
      EXPECT_GE(e["ts"].get<double>(), 0);
    }
    if (ph == "C") {
      EXPECT_FALSE(e["args"].empty());
    }
    if (ph == "X") {
      EXPECT_GE(e["dur"].get<double>(), 0);
    }
    if (ph == "b") ++open[e["id"].dump()];
    if (ph == "e") --open[e["id"].dump()];
  }
  EXPECT_FALSE(open.empty());
  for (const auto& [id, depth] : open) EXPECT_EQ(depth, 0) << id;
}

/// Undoes base64 and gzip.
std::string unpacked(const std::string& text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<u8> packed;
  u32 group = 0, bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    group = group << 6 | static_cast<u32>(kDigits.find(c));
    bits += 6;
    if (bits >= 8) packed.push_back(static_cast<u8>(group >> (bits -= 8)));
  }
  std::string plain(4 * kMiB, '\0');
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  stream.next_in = packed.data();
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  return plain;
}

TEST_F(SnippetTest, ThePageHoldsTheSameData) {
  const json direct = json::parse(trace(kLoop, "same.json"));
  const std::string page = trace(kLoop, "same.html");
  // The document without the code of its regions, then a line of code for each of them.
  std::vector<std::string> parts;
  const std::string_view mark = "class=\"data\">";
  for (std::size_t at = page.find(mark); at != std::string::npos; at = page.find(mark, at + 1)) {
    const std::size_t from = at + mark.size();
    parts.push_back(unpacked(page.substr(from, page.find('<', from) - from)));
  }
  ASSERT_EQ(parts.size(), 2u);  // one chunk
  const json inside = json::parse(parts[0]);
  ASSERT_EQ(inside["regions"].size(), direct["regions"].size());
  std::istringstream lines(parts[1]);
  std::string line;
  for (const json& region : direct["regions"]) {
    ASSERT_TRUE(std::getline(lines, line));
    EXPECT_EQ(json::parse(line)["blocks"].size(), region["blocks"].size());
  }
  // Nothing is fetched from anywhere.
  for (const char* word : {"src=\"http", "href=\"http", "@import", "<link"})
    EXPECT_EQ(page.find(word), std::string::npos) << word;
}

TEST(TracePage, ExplainsEveryWayAnInstructionIsEmitted) {
  std::ifstream file(std::string(DRAGOMAN_SOURCE_DIR) + "/frontends/trace/page/explain.js");
  std::stringstream text;
  text << file.rdbuf();
  ASSERT_FALSE(text.str().empty());
  for (unsigned i = 0; i <= static_cast<unsigned>(Emission::kInterpreted); ++i) {
    const std::string name{emission_name(static_cast<Emission>(i))};
    EXPECT_NE(text.str().find("\n  \"" + name + "\": ["), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace dragoman
