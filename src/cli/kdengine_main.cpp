// kdengine: trains, distils, evaluates, predicts.
#include <iostream>
#include <string_view>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace kd::cli;
  CLI::App app("Distils a large image classifier into a small one.", "kdengine");
  kd::RunConfig config;
  std::string config_file;
  add_settings(app, config);
  app.add_option("--recipe,--config", config_file,
                 "JSON file of the same settings, terms and stages (models/recipes); flags win");
  const std::vector<Command> commands{
      eval_command(app),   predict_command(app), mistakes_command(app), compare_command(app),
      report_command(app), search_command(app),  cache_command(app)};
  // The file is read before the flags, so that flags override it.
  const auto read_file_first = [&](int count, char** arguments) {
    for (int i = 1; i + 1 < count; ++i) {
      const std::string_view flag(arguments[i]);
      if (flag == "--recipe" || flag == "--config") kd::read_config(arguments[i + 1], config);
    }
  };
  app.preparse_callback([&](size_t) { read_file_first(argc, argv); });
  return run_program(app, argc, argv, [&] {
    for (const Command& command : commands) {
      if (command.app->parsed()) return command.run();
    }
    kd::override_stages(config, given_settings(app, config));
    return run_training(config);
  });
}
