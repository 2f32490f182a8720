// The QEMU Machine Protocol over any byte stream: JSON objects, one a line.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontends/monitor/monitor.h"
#include "frontends/monitor/qmp_schema.h"

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
    QmpSignature signature;
    Handler handler;
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
  Failure query_schema(const Json& arguments, Json& result);
  Failure query_status(const Json& arguments, Json& result);
  Failure query_version(const Json& arguments, Json& result);
  Failure query_name(const Json& arguments, Json& result);
  Failure query_block(const Json& arguments, Json& result);
  Failure query_cpus(const Json& arguments, Json& result);
  Failure query_kvm(const Json& arguments, Json& result);
  Failure query_uuid(const Json& arguments, Json& result);
  Failure query_target(const Json& arguments, Json& result);
  Failure query_machine(const Json& arguments, Json& result);
  Failure query_machines(const Json& arguments, Json& result);
  Failure query_pci(const Json& arguments, Json& result);
  Failure query_characters(const Json& arguments, Json& result);
  Failure query_mice(const Json& arguments, Json& result);
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
  Failure input_send_event(const Json& arguments, Json& result);
  static Failure read_key(const Json& key, const std::string& path, std::string& name);
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
  bool out_of_band_ = false;  ///< `exec-oob` was negotiated
  bool too_long_ = false;
  int depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  char quote_ = '"';  ///< of the string that is being received
  bool reset_by_host_ = false;
  u8 buttons_ = 0;                  ///< held by input-send-event
  std::array<u32, 2> tablet_at_{};  ///< where it left the absolute pointer
};

}  // namespace dragoman
