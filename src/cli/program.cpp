#include "cli/program.h"

#include <fmt/format.h>

#include <csignal>
#include <iostream>

#include "core/names.h"
#include "kd/error.h"

namespace kd::cli {
namespace {

volatile std::sig_atomic_t signal_number = 0;  // a handler may touch nothing else
void on_signal(int number) { signal_number = number; }

int complain(std::string_view message, ErrorCode code) {
  std::cerr << "kdengine: " << message << std::endl;
  return static_cast<int>(code);
}

std::string with_suggestion(const CLI::App& app, const std::string& flag) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_name());
  const std::string bare = flag.substr(0, flag.find('='));
  return "unknown argument '" + flag + "'" + suggestion(bare, names);
}

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

void watch_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}
int caught_signal() { return signal_number; }

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  try {
    app.footer(kExitCodes);
    app.allow_extras();
    app.parse(argc, argv);
    const CLI::App* used = &app;
    for (const CLI::App* sub : app.get_subcommands()) used = sub;
    const std::vector<std::string> extras = app.remaining(true);
    if (!extras.empty()) return complain(with_suggestion(*used, extras.front()), ErrorCode::usage);
    return body();
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return complain(error.what(), ErrorCode::usage);
  } catch (const Error& error) {
    return complain(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return complain("out of memory: lower --batch-size", ErrorCode::device);
  } catch (const std::exception& error) {
    return complain(std::string("internal error: ") + error.what(), ErrorCode::internal);
  }
}

void add_settings(CLI::App& app, RunConfig& config) {
  for (const Setting& setting : settings(config)) {
    const std::string flag = "--" + setting.name;
    std::visit(
        [&](auto* place) {
          using T = std::remove_pointer_t<decltype(place)>;
          if constexpr (std::is_same_v<T, bool>) {
            app.add_flag(flag + "{true}", *place, setting.help);
          } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
            app.add_option(flag, *place, setting.help)->capture_default_str();
          } else {  // a list: given several times, or with commas
            app.add_option(flag, *place, setting.help)->delimiter(',')->allow_extra_args(false);
          }
        },
        setting.place);
  }
}

std::vector<std::string> given_settings(const CLI::App& app, RunConfig& config) {
  std::vector<std::string> given;
  for (const Setting& setting : settings(config)) {
    if (app.count("--" + setting.name) > 0) given.push_back(setting.name);
  }
  return given;
}

}  // namespace kd::cli
