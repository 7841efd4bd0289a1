// ONNX's own node tests: whatever is not refused in a sentence must give the expected outputs. The
// table of what passes is src/io/onnx/OPERATORS.md (KD_WRITE_OPERATORS=1 writes it anew).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "core/file.h"
#include "onnx/node_case.h"

namespace kd::test {
namespace {

namespace fs = std::filesystem;

struct Row {
  int passed = 0, refused = 0;
  std::map<std::string, int> reasons;
};

fs::path suite() {
  const char* given = std::getenv("KD_ONNX_NODE_TESTS");
  return given ? fs::path(given) : fs::path(KD_SOURCE_DIR) / "build/deps/onnx/node";
}

std::string table(const std::map<std::string, Row>& rows,
                  const std::map<std::string, int>& others) {
  std::ostringstream text;
  int passed = 0, refused = 0, unknown = 0;
  for (const auto& [op, row] : rows) passed += row.passed, refused += row.refused;
  for (const auto& [op, count] : others) unknown += count;
  text << "# Operators\nMade by `KD_WRITE_OPERATORS=1 build/bin/kd_test_onnx` from the node tests "
          "of ONNX 1.17 (any rank, "
          "axis 0 no batch).\nNone gives a wrong result: "
       << passed << " pass, " << refused << " are refused in a sentence, " << unknown
       << " are of operators that are not supported.\n\n| operator | passed | refused | why, most "
          "often |\n|---|---|---|---|\n";
  for (const auto& [op, row] : rows) {
    const auto worst =
        std::ranges::max_element(row.reasons, {}, [](const auto& r) { return r.second; });
    text << "| " << op << " | " << row.passed << " | " << row.refused << " | "
         << (worst == row.reasons.end() ? "" : worst->first.substr(0, 90)) << " |\n";
  }
  text << "\nNot supported: ";
  for (auto at = others.begin(); at != others.end(); ++at)
    text << (at == others.begin() ? "" : ", ") << at->first;
  text << ".\n";
  return text.str();
}

TEST(OnnxSuite, EveryNodeTestIsPassedOrRefusedInASentence) {
  if (!fs::is_directory(suite())) {
    GTEST_SKIP() << "no ONNX node tests in " << suite() << ": tools/setup fetches them";
  }
  std::map<std::string, Row> rows;
  std::map<std::string, int> others;
  for (const auto& folder : fs::directory_iterator(suite())) {
    NodeCase node_case;
    if (!read_case(folder.path(), node_case) || node_case.name.ends_with("_expanded") ||
        node_case.name.find("_expanded_ver") != std::string::npos) {
      continue;
    }
    // Its data is cut where the specification rounds to nearest.
    if (node_case.name == "test_cast_FLOAT_to_BFLOAT16") continue;
    if (!is_claimed(node_case)) {
      ++others[node_case.op];
      continue;
    }
    Row& row = rows[node_case.op];
    const Outcome outcome = outcome_of(node_case);
    EXPECT_NE(outcome.kind, Outcome::Kind::wrong) << node_case.name << ": " << outcome.why;
    if (outcome.kind == Outcome::Kind::passed) ++row.passed;
    if (outcome.kind == Outcome::Kind::refused) {
      ++row.refused;
      ++row.reasons[outcome.why];
    }
  }
  const fs::path file = fs::path(KD_SOURCE_DIR) / "src/io/onnx/OPERATORS.md";
  const std::string now = table(rows, others);
  if (std::getenv("KD_WRITE_OPERATORS")) write_file(file, now);
  std::ifstream stream(file);
  const std::string committed((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_EQ(now, committed);
}

}  // namespace
}  // namespace kd::test
