// What tests of this and later modules share: a scratch folder, error texts, and the project's
// Python.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace skipattn::io {

/// A new empty folder, removed with everything in it at the end of the test.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "skipattn-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  /// Writes a file (not atomically) and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  /// The names in the folder, hidden ones too, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::filesystem::path path_;
};

/// A file's bytes as they are.
inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The message of the E that `action` throws; a test failure and "" when it throws nothing.
template <typename E, typename F>
std::string error_of(F&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

/// True when the Python that tests may use (SKIPATTN_PYTHON) imports the module.
inline bool python_imports(const std::string& module) {
  const char* python = std::getenv("SKIPATTN_PYTHON");
  if (python == nullptr) return false;
  return std::system((std::string(python) + " -c 'import " + module + "' >/dev/null 2>&1").c_str()) == 0;
}

/// Runs a script with that Python; its standard output and standard error go to `output`. True when
/// it ended well.
inline bool run_python(const TestFolder& folder, const std::string& script, std::string& output) {
  const auto program = folder.write("script.py", script);
  const auto log = folder / "script.log";
  const int status = std::system(
      (std::string(std::getenv("SKIPATTN_PYTHON")) + " " + program.string() + " >" + log.string() + " 2>&1").c_str());
  output = slurp(log);
  return status == 0;
}

}  // namespace skipattn::io
