// The one error type of the engine, and KD_CHECK, the one way to raise it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace kd {

// Whose fault it is. The value is the exit code of the programs (only src/cli/ exits).
enum class ErrorCode {
  usage = 1,     // a flag, a key, a combination of options
  input = 2,     // a file, a picture, a model, a shape that does not fit
  device = 3,    // the device or a library below refuses
  internal = 4,  // a bug in kdengine
};

// what() is one sentence: what was wrong, where (op, key, file), and what was expected.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& what, std::string where = {})
      : std::runtime_error(what), code_(code), where_(std::move(where)) {}
  ErrorCode code() const { return code_; }
  const std::string& where() const { return where_; }  // source file:line, for developers

 private:
  ErrorCode code_;
  std::string where_;
};

// Replaces each "{}" of `pattern` by the next argument, written by operator<<.
template <class... Args>
std::string format(std::string_view pattern, const Args&... args) {
  std::ostringstream out;
  size_t at = 0;
  [[maybe_unused]] auto put = [&](const auto& arg) {
    const size_t hole = pattern.find("{}", at);
    if (hole == std::string_view::npos) return;
    out << pattern.substr(at, hole - at) << arg;
    at = hole + 2;
  };
  (put(args), ...);
  out << pattern.substr(at);
  return out.str();
}

template <class... Args>
[[noreturn]] void fail(ErrorCode code, std::string_view pattern, const Args&... args) {
  throw Error(code, format(pattern, args...));
}

}  // namespace kd

#define KD_STRINGIFY_(x) #x
#define KD_STRINGIFY(x) KD_STRINGIFY_(x)
// Throws Error{input} unless `cond`: KD_CHECK(a == b, "conv2d '{}': weight has {} channels", name,
// c).
#define KD_CHECK(cond, ...)                                                \
  do {                                                                     \
    if (!(cond))                                                           \
      throw ::kd::Error(::kd::ErrorCode::input, ::kd::format(__VA_ARGS__), \
                        __FILE__ ":" KD_STRINGIFY(__LINE__));              \
  } while (false)
