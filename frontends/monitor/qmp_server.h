// The QEMU Machine Protocol over any byte stream: JSON objects, one a line.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/monitor/monitor.h"

namespace dragoman {

class QmpServer {
 public:
  using Send = std::function<void(std::string_view)>;

  QmpServer(Monitor& monitor, Send send);

  /// A client came: greeting.
  void connected();
  void disconnected() { connected_ = false; }
  void receive(std::span<const u8> bytes);
  /// DEVICE_TRAY_MOVED.
  void tray_moved(const std::string& drive, bool open);

 private:
  using Json = nlohmann::ordered_json;
  struct Failure {
    const char* kind = nullptr;  ///< GenericError, CommandNotFound ...; null: success
    std::string text;
  };
  using Handler = Failure (QmpServer::*)(const Json& arguments, Json& result);
  struct Command {
    const char* name;
    Handler handler;
    const char* arguments;  ///< names that may be given, separated by blanks
  };
  static const std::vector<Command>& commands();
  static Json version();
  static Failure drive_failure(const Error& cause);

  void line(const std::string& text);
  void execute(const Json& request);
  void say(const Json& message);
  void refuse(const Failure& failure, const Json* id);
  void event(MachineEvent event);

  Failure capabilities(const Json& arguments, Json& result);
  Failure query_commands(const Json& arguments, Json& result);
  Failure query_status(const Json& arguments, Json& result);
  Failure query_version(const Json& arguments, Json& result);
  Failure query_name(const Json& arguments, Json& result);
  Failure query_block(const Json& arguments, Json& result);
  Failure query_cpus(const Json& arguments, Json& result);
  Failure query_kvm(const Json& arguments, Json& result);
  Failure query_uuid(const Json& arguments, Json& result);
  Failure query_target(const Json& arguments, Json& result);
  Failure query_machine(const Json& arguments, Json& result);
  Failure query_memory(const Json& arguments, Json& result);
  Failure query_none(const Json& arguments, Json& result);
  Failure stop(const Json& arguments, Json& result);
  Failure cont(const Json& arguments, Json& result);
  Failure reset(const Json& arguments, Json& result);
  Failure powerdown(const Json& arguments, Json& result);
  Failure inject_nmi(const Json& arguments, Json& result);
  Failure quit(const Json& arguments, Json& result);
  Failure screendump(const Json& arguments, Json& result);
  Failure send_key(const Json& arguments, Json& result);
  Failure change_medium(const Json& arguments, Json& result);
  Failure eject(const Json& arguments, Json& result);
  Failure human_monitor(const Json& arguments, Json& result);
  Failure pmemsave(const Json& arguments, Json& result);
  Failure memsave(const Json& arguments, Json& result);
  Failure save_memory(const char* command, const Json& arguments, Json& result);

  Monitor& monitor_;
  Send send_;
  std::string input_;
  bool connected_ = false;
  bool negotiated_ = false;
  bool too_long_ = false;
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  char quote_ = '"';  ///< of the string that is being received
  bool reset_by_host_ = false;
};

}  // namespace dragoman
