// The program `dragoman`.
#include <fmt/format.h>

#include "frontends/cli/device_options.h"
#include "frontends/cli/options.h"
#include "frontends/cli/session.h"

int main(int argc, char** argv) {
  using namespace dragoman;
  auto command = parse_options(argc, argv);
  if (!command) {
    fmt::print(stderr, "dragoman: {}\n", command.error().message);
    return kExitUsage;
  }
  if (command->text) {
    fmt::print("{}", *command->text);
    return kExitOk;
  }
  for (const DeviceOption& device : command->options.devices) {
    if (device.driver == "help" || device.driver == "?") {
      fmt::print("{}", device_help());
      return kExitOk;
    }
  }
  Session session(std::move(command->options));
  if (auto ready = session.prepare(); !ready) {
    fmt::print(stderr, "dragoman: {}\n", ready.error().message);
    return session.failure_code();
  }
  return session.run();
}
