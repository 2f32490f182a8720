// QMP: negotiation, answers, events and errors.
#include "frontends/monitor/qmp_server.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "frontends/monitor/key_names.h"
#include "tests/frontends/debug_machine.h"
#include "tests/frontends/process.h"

namespace dragoman {
namespace {

using Json = nlohmann::json;

class Qmp : public testing::Test {
 protected:
  Qmp()
      : pc_(kModesProgram, false),
        monitor_(pc_.debugger(), MonitorHost{}),
        server_(monitor_, [this](std::string_view text) { out_ += text; }) {
    server_.connected();
  }

  void raw(std::string_view bytes) {
    server_.receive({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
  }
  /// All messages that came in answer to `request`.
  std::vector<Json> ask(const std::string& request) {
    out_.clear();
    raw(request + "\n");
    return messages();
  }
  std::vector<Json> messages() {
    std::vector<Json> list;
    std::size_t begin = 0;
    for (std::size_t end; (end = out_.find("\r\n", begin)) != std::string::npos; begin = end + 2) {
      list.push_back(Json::parse(out_.substr(begin, end - begin), nullptr, false));
    }
    return list;
  }
  Json one(const std::string& request) {
    const auto list = ask(request);
    return list.empty() ? Json() : list.back();
  }
  std::string problem(const std::string& request) {
    const Json answer = one(request);
    return answer.contains("error") ? answer["error"]["class"].get<std::string>() + ": " +
                                          answer["error"]["desc"].get<std::string>()
                                    : answer.dump();
  }
  void negotiate() {
    EXPECT_EQ(one(R"({"execute":"qmp_capabilities"})")["return"], Json::object());
  }

  DebugMachine pc_;
  std::string out_;
  Monitor monitor_;
  QmpServer server_;
};

TEST_F(Qmp, GreetsAndNegotiates) {
  ASSERT_EQ(messages().size(), 1u);
  EXPECT_TRUE(messages()[0]["QMP"]["version"]["qemu"].contains("major"));
  EXPECT_EQ(problem(R"({"execute":"query-status"})"),
            "CommandNotFound: Expecting capabilities negotiation with 'qmp_capabilities'");
  negotiate();
  EXPECT_EQ(problem(R"({"execute":"qmp_capabilities"})"),
            "CommandNotFound: Capabilities negotiation is already complete, command ignored");
}

TEST_F(Qmp, AnswersWithTheIdOfTheRequest) {
  negotiate();
  EXPECT_EQ(one(R"({"execute":"query-name","id":{"a":[1,"}"]}})")["id"],
            Json::parse(R"({"a":[1,"}"]})"));
  EXPECT_EQ(one("{\"execute\":\n \"query-status\"\n}")["return"]["status"], "prelaunch");
  EXPECT_EQ(one(R"({"execute":"query-cpus-fast"})")["return"][0]["cpu-index"], 0);
}

TEST_F(Qmp, SaysEventsBeforeTheAnswerThatCausedThem) {
  negotiate();
  auto list = ask(R"({"execute":"cont"})");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["event"], "RESUME");
  EXPECT_EQ(list[1]["return"], Json::object());
  EXPECT_EQ(one(R"({"execute":"query-status"})")["return"]["running"], true);
  list = ask(R"({"execute":"stop"})");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["event"], "STOP");
  EXPECT_TRUE(list[0]["timestamp"].contains("microseconds"));
  list = ask(R"({"execute":"system_powerdown"})");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["event"], "POWERDOWN");
  EXPECT_EQ(list[1]["return"], Json::object());
}

TEST_F(Qmp, TellsWhyTheMachineEnded) {
  negotiate();
  (void)pc_.machine().take_stop_reason();
  out_.clear();
  raw(R"({"execute":"system_reset"} {"execute":"quit"})");
  (void)pc_.machine().run();
  const auto list = messages();
  ASSERT_EQ(list.size(), 3u) << out_;
  EXPECT_EQ(list[2]["event"], "SHUTDOWN");
  EXPECT_EQ(list[2]["data"]["reason"], "host-qmp-quit");
  EXPECT_EQ(list[2]["data"]["guest"], false);
}

TEST_F(Qmp, RefusesAsDocumented) {
  EXPECT_EQ(problem("[1]"), "GenericError: QMP input must be a JSON object");
  EXPECT_EQ(problem("{}"), "GenericError: QMP input lacks member 'execute'");
  EXPECT_EQ(problem(R"({"execute":1})"),
            "GenericError: QMP input member 'execute' must be a string");
  EXPECT_EQ(problem(R"({"execute":"a","arguments":1})"),
            "GenericError: QMP input member 'arguments' must be an object");
  EXPECT_EQ(problem(R"({"execute":"a","x":1})"),
            "GenericError: QMP input member 'x' is unexpected");
  negotiate();
  EXPECT_EQ(problem(R"({"execute":"fly"})"), "CommandNotFound: The command fly has not been found");
  EXPECT_EQ(problem(R"({"execute":"stop","arguments":{"x":1}})"),
            "GenericError: Parameter 'x' is unexpected");
  EXPECT_EQ(problem(R"({"execute":"screendump"})"),
            "GenericError: Parameter 'filename' is missing");
  EXPECT_EQ(problem(R"({"execute":"screendump","arguments":{"filename":3}})"),
            "GenericError: Invalid parameter type for 'filename', expected: string");
  EXPECT_EQ(problem("nonsense").substr(0, 30), "GenericError: JSON parse error");
  EXPECT_EQ(problem("{'execute': }").substr(0, 30), "GenericError: JSON parse error");
}

TEST_F(Qmp, TakesStringsBetweenSingleQuotes) {
  negotiate();
  EXPECT_EQ(one("{'execute': 'query-target', 'id': 'a\\'b\"c}'}").dump(),
            R"({"id":"a'b\"c}","return":{"arch":"x86_64"}})");
  EXPECT_EQ(one(R"({"execute":"query-target","id":"it's"})")["id"], "it's");
  EXPECT_EQ(one(R"({"execute":"query-target","id":"it\'s"})")["id"], "it's");
  EXPECT_EQ(one(R"({'execute':'query-target',"id":"\\"})")["id"], "\\");
}

TEST_F(Qmp, TellsAboutTheMachine) {
  monitor_.host().uuid = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0, 1, 2, 3, 4, 5, 6, 7};
  monitor_.host().ram_bytes = 32 << 20;
  negotiate();
  const auto answer = [&](const char* what) {
    return one(fmt::format(R"({{"execute":"{}"}})", what))["return"].dump();
  };
  EXPECT_EQ(answer("query-uuid"), R"({"UUID":"12345678-9abc-def0-0001-020304050607"})");
  EXPECT_EQ(answer("query-memory-size-summary"), R"({"base-memory":33554432,"plugged-memory":0})");
  EXPECT_EQ(answer("query-kvm"), R"({"enabled":false,"present":false})");
  EXPECT_EQ(answer("query-current-machine"), R"({"wakeup-suspend-support":false})");
  EXPECT_EQ(answer("query-block-jobs"), "[]");
  EXPECT_EQ(answer("query-iothreads"), "[]");
  EXPECT_EQ(answer("inject-nmi"), "{}");
}

TEST_F(Qmp, DescribesEveryTypeItNames) {
  negotiate();
  const Json schema = one(R"({"execute":"query-qmp-schema"})")["return"];
  std::map<std::string, Json> types;
  for (const Json& info : schema) {
    EXPECT_TRUE(types.emplace(info["name"], info).second) << info;
  }
  const auto named = [&](const Json& name) { EXPECT_TRUE(types.contains(name)) << name; };
  for (const Json& info : schema) {
    for (const char* reference : {"arg-type", "ret-type", "element-type"}) {
      if (info.contains(reference)) named(info[reference]);
    }
    if (info["meta-type"] != "object") continue;
    bool tagged = !info.contains("tag");
    for (const Json& member : info["members"]) {
      named(member["type"]);
      tagged |= info.contains("tag") && member["name"] == info["tag"];
    }
    EXPECT_TRUE(tagged) << info;
    for (const Json& variant : info.value("variants", Json::array())) named(variant["type"]);
  }
  for (const Json& command : one(R"({"execute":"query-commands"})")["return"]) {
    EXPECT_EQ(types[command["name"]]["meta-type"], "command") << command;
  }
  for (const char* event : {"STOP", "RESUME", "RESET", "POWERDOWN", "SHUTDOWN"}) {
    EXPECT_EQ(types[event]["meta-type"], "event") << event;
  }
}

TEST_F(Qmp, ExecutesOutOfBandOnceThatIsAskedFor) {
  EXPECT_EQ(messages()[0]["QMP"]["capabilities"], Json::array({"oob"}));
  EXPECT_EQ(problem(R"({"execute":"qmp_capabilities","arguments":{"enable":["fly"]}})"),
            "GenericError: Parameter 'null' does not accept value 'fly'");
  EXPECT_EQ(one(R"({"execute":"qmp_capabilities","arguments":{"enable":["oob"]}})")["return"],
            Json::object());
  EXPECT_EQ(one(R"({"exec-oob":"query-yank","id":3})")["return"], Json::array());
  EXPECT_EQ(problem(R"({"exec-oob":"stop"})"),
            "GenericError: The command stop does not support OOB");
  server_.connected();
  negotiate();
  EXPECT_EQ(problem(R"({"exec-oob":"query-yank"})"),
            "GenericError: QMP input member 'exec-oob' is unexpected");
}

TEST_F(Qmp, SendsSingleInputEvents) {
  negotiate();
  const auto send = [&](const std::string& events) {
    return problem(
        fmt::format(R"({{"execute":"input-send-event","arguments":{{"events":[{}]}}}})", events));
  };
  const std::string left = R"({"type":"btn","data":{"down":true,"button":"left"}})";
  EXPECT_EQ(send(left), "GenericError: VM not running");
  pc_.debugger().resume();
  std::vector<std::array<int, 4>> moves;
  pc_.machine().board().mouse().set_gate([&](int dx, int dy, int dz, int mask) {
    moves.push_back({dx, dy, dz, mask});
    return false;
  });
  std::vector<std::pair<Key, bool>> keys;
  pc_.machine().board().keyboard().set_gate([&](Key key, bool pressed) {
    keys.emplace_back(key, pressed);
    return false;
  });
  const std::string right = R"({"type":"rel","data":{"axis":"x","value":5}})";
  const std::string down = R"({"type":"rel","data":{"axis":"y","value":-7}})";
  EXPECT_EQ(send(right + "," + down + "," + left), R"({"return":{}})");
  EXPECT_EQ(send(R"({"type":"btn","data":{"down":true,"button":"middle"}})"), R"({"return":{}})");
  EXPECT_EQ(send(R"({"type":"btn","data":{"down":true,"button":"wheel-down"}})"),
            R"({"return":{}})");
  EXPECT_EQ(send(R"({"type":"btn","data":{"down":false,"button":"left"}},)" + right),
            R"({"return":{}})");
  const std::vector<std::array<int, 4>> expected = {{5, -7, 0, -1}, {0, 0, 0, 1}, {0, 0, 0, 5},
                                                    {0, 0, 1, -1},  {0, 0, 0, 4}, {5, 0, 0, -1}};
  EXPECT_EQ(moves, expected);
  EXPECT_EQ(send(R"({"type":"key","data":{"down":true,"key":{"type":"qcode","data":"f1"}}})"),
            R"({"return":{}})");
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0], std::pair(*key_by_name("f1"), true));
  // Nothing of a request that is wrong somewhere takes effect; there is no tablet.
  EXPECT_EQ(send(left + R"(,{"type":"abs","data":{"axis":"x","value":1}})"),
            "GenericError: Input handler not found for event type abs");
  EXPECT_EQ(moves.size(), expected.size());
}

// What QEMU 7.2 answers to the same.
TEST_F(Qmp, ChecksArguments) {
  negotiate();
  const auto said = [&](const char* command, const char* arguments) {
    return problem(fmt::format(R"({{"execute":"{}","arguments":{}}})", command, arguments));
  };
  EXPECT_EQ(problem(R"({"exec-oob":"query-status"})"),
            "GenericError: QMP input member 'exec-oob' is unexpected");
  EXPECT_EQ(said("human-monitor-command", R"({"command-line":"info name","cpu-index":9})"),
            "GenericError: Parameter 'cpu-index' expects a CPU number");
  EXPECT_EQ(said("screendump", R"({"filename":"/tmp/x","device":"d"})"),
            "DeviceNotFound: Device 'd' not found");
  EXPECT_EQ(said("screendump", R"({"filename":"/tmp/x","head":0})"),
            "GenericError: 'head' must be specified together with 'device'");
  EXPECT_EQ(said("screendump", R"({"filename":"/tmp/x","format":"gif"})"),
            "GenericError: Parameter 'format' does not accept value 'gif'");
  EXPECT_EQ(said("eject", "{}"), "GenericError: Need exactly one of 'device' and 'id'");
  EXPECT_EQ(said("eject", R"({"device":"a","id":"b"})"),
            "GenericError: Need exactly one of 'device' and 'id'");
  EXPECT_EQ(
      said("blockdev-change-medium", R"({"device":"a","filename":"b","read-only-mode":"odd"})"),
      "GenericError: Parameter 'read-only-mode' does not accept value 'odd'");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"odd","data":1}]})"),
            "GenericError: Parameter 'type' does not accept value 'odd'");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"qcode","data":1}]})"),
            "GenericError: Invalid parameter type for 'keys[0].data', expected: string");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"number","data":"a"}]})"),
            "GenericError: Invalid parameter type for 'keys[0].data', expected: integer");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"qcode","data":"a"},{"data":"a"}]})"),
            "GenericError: Parameter 'keys[1].type' is missing");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"qcode","data":"a"}],"hold-time":"x"})"),
            "GenericError: Invalid parameter type for 'hold-time', expected: integer");
  EXPECT_EQ(
      one(R"({"execute":"send-key","arguments":{"keys":[{"type":"number","data":30}]}})").dump(),
      R"({"return":{}})");
  EXPECT_EQ(said("send-key", R"({"keys":[{"type":"number","data":0}]})"),
            "GenericError: Parameter 'data' does not accept value '0'");
  EXPECT_EQ(key_name_of_number(30), "a");
  EXPECT_EQ(key_name_of_number(0x58), "f12");
  EXPECT_EQ(key_name_of_number(0xd3), "delete");
  for (i64 number = -1; number < 300; ++number) {
    const std::string_view name = key_name_of_number(number);
    if (name.empty()) continue;
    EXPECT_TRUE(key_by_name(name)) << number;
  }
}

TEST_F(Qmp, PassesCommandsToTheHumanMonitor) {
  negotiate();
  EXPECT_EQ(
      one(R"({"execute":"human-monitor-command","arguments":{"command-line":"p 1+1"}})")["return"],
      "0x2\r\n");
  EXPECT_EQ(
      one(R"({"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"a"}]}})")["return"],
      Json::object());
  EXPECT_NE(problem(R"({"execute":"send-key","arguments":{"keys":[{"type":"qcode","data":"?"}]}})")
                .find("does not accept value '?'"),
            std::string::npos);
}

TEST_F(Qmp, PicturesThatFailLeaveNoFile) {
  negotiate();
  const TemporaryDirectory directory;
  const std::string old = directory.write("old", "as it was");
  const auto shot = [&](const std::string& path) {
    return problem(R"({"execute":"screendump","arguments":{"filename":")" + path + "\"}}");
  };
  EXPECT_NE(shot(directory.file("fresh")).find("no graphics card"), std::string::npos);
  EXPECT_NE(shot(old).find("no graphics card"), std::string::npos);
  const std::string nowhere = directory.file("no/folder");
  EXPECT_EQ(shot(nowhere),
            "GenericError: failed to open file '" + nowhere + "': No such file or directory");
  EXPECT_EQ(read_file(old), "as it was");
  EXPECT_FALSE(std::filesystem::exists(directory.file("fresh")));
}

TEST_F(Qmp, SurvivesNonsense) {
  negotiate();
  std::mt19937 random(11);
  static constexpr std::string_view kParts[] = {"{",
                                                "}",
                                                "[",
                                                "]",
                                                "\"",
                                                ":",
                                                ",",
                                                "\\",
                                                "\n",
                                                "\"execute\":",
                                                "\"query-block\"",
                                                "\"arguments\":",
                                                "\"id\":",
                                                "null",
                                                "1e999",
                                                "-1",
                                                "\"send-key\"",
                                                "\"keys\"",
                                                "true",
                                                "\"human-monitor-command\"",
                                                "\"stop\"",
                                                "\xff\xfe",
                                                "\"\\ud800\""};
  for (unsigned round = 0; round < 5000; ++round) {
    std::string text;
    for (unsigned n = static_cast<unsigned>(random() % 12); n > 0; --n) {
      text += kParts[random() % std::size(kParts)];
    }
    raw(text);
    if (round % 50 == 0) raw("\"\n}}}}}}}}}}}}\n");
  }
  raw(std::string(100'000, '['));
  raw("\n");
  raw(std::string(3'000'000, ' ') + "{\"" + std::string(3'000'000, 'x'));
  raw("\n");
  server_.connected();
  negotiate();
  EXPECT_TRUE(one(R"({"execute":"query-version"})").contains("return"));
}

}  // namespace
}  // namespace dragoman
