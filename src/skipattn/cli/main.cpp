// skipattn: one binary, one file per command. Turns the library's exceptions into exit codes:
// 0 done, 1 failed, 2 wrong use or input, 3 stopped before the end by a signal and saved.
#include <c10/util/Exception.h>

#include <algorithm>
#include <iostream>
#include <new>

#include "skipattn/cli/command.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"

namespace {

using skipattn::cli::Action;

constexpr int kFailed = 1, kWrongUse = 2, kStopped = 3;

int fail(int code, const std::string& message) {
  std::cerr << "skipattn: " << message << '\n';
  return code;
}

int run(const Action& action) {
  try {
    action();
    return 0;
  } catch (const skipattn::InputError& error) {
    return fail(kWrongUse, error.what());
  } catch (const skipattn::Stopped& stopped) {
    return fail(kStopped, stopped.what());
  } catch (const skipattn::RunError& error) {
    return fail(kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailed, "out of memory; try a smaller batch, training.micro_batch_size or training.recompute=true");
  } catch (const c10::Error& error) {
    return fail(kFailed, error.what_without_backtrace());
  } catch (const std::exception& error) {
    return fail(kFailed, error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Transformers whose attention heads may read keys and values from any layer.", "skipattn");
  app.set_version_flag("--version", SKIPATTN_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  Action chosen;
  skipattn::cli::add_plan_command(app, chosen);
  skipattn::cli::add_tokenize_command(app, chosen);
  skipattn::cli::add_train_command(app, chosen);
  skipattn::cli::add_eval_command(app, chosen);
  skipattn::cli::add_compare_command(app, chosen);
  skipattn::cli::add_sweep_command(app, chosen);
  skipattn::cli::add_convert_command(app, chosen);
  skipattn::cli::add_generate_command(app, chosen);
  skipattn::cli::add_serve_command(app, chosen);
  skipattn::cli::add_profile_command(app, chosen);

  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  if (argc > 1 && argv[1][0] != '-' && std::ranges::find(names, argv[1]) == names.end())
    return fail(kWrongUse, fmt::format("'{}': unknown command{}; known are {}", argv[1],
                                       skipattn::did_you_mean(argv[1], names), skipattn::join(names, ", ")));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const auto used = app.get_subcommands();
    const std::string help = used.empty() ? "skipattn --help" : "skipattn " + used.front()->get_name() + " --help";
    return fail(kWrongUse, std::string(error.what()) + " (see '" + help + "')");
  }
  skipattn::catch_stop_signals();
  return run(chosen);
}
