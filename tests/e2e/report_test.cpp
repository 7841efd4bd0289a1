// kdengine report: the page is well-formed, whole in one file, and shows in a real browser.
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "core/file.h"
#include "core/json.h"
#include "kd/data.h"
#include "support/fake_runs.h"
#include "support/process.h"
#include "support/small_task.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using test::Finished;

// Tags that match, and SVG that XML parsers take. Exits 1 and says why otherwise.
constexpr const char* kCheckPage = R"py(
import html.parser, re, sys, xml.etree.ElementTree
text = open(sys.argv[1], encoding="utf-8").read()
class Parser(html.parser.HTMLParser):
    void, open_tags = {"meta", "img", "br", "link"}, []
    def handle_starttag(self, tag, attributes):
        assert tag not in ("script", "link", "iframe", "object"), tag
        for name, value in attributes:
            assert not name.startswith("on"), name
            assert name not in ("src", "href") or value.startswith("data:"), value
        if tag not in self.void: self.open_tags.append(tag)
    def handle_startendtag(self, tag, attributes): pass
    def handle_endtag(self, tag):
        assert self.open_tags and self.open_tags[-1] == tag, (tag, self.open_tags, self.getpos())
        self.open_tags.pop()
parser = Parser()
parser.feed(text)
parser.close()
assert not parser.open_tags, parser.open_tags
drawings = re.findall(r"<svg.*?</svg>", text, re.S)
for drawing in drawings: xml.etree.ElementTree.fromstring(drawing)
assert not re.search(r"(?<![a-zA-Z])(nan|inf)(?![a-zA-Z])", " ".join(drawings)), "nan in a drawing"
print(len(drawings), "drawings")
)py";

std::string browser() {
  for (const char* path :
       {"/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"}) {
    if (fs::exists(path)) return path;
  }
  return {};
}

std::string text_of(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class ReportTest : public testing::Test {
 protected:
  std::string at(const std::string& name) const { return folder_.path() / name; }
  // Three seeds of one configuration, and one run with hostile class names.
  void write_runs() const {
    for (const uint64_t seed : {0, 1, 2})
      test::write_fake_run({.seed = seed}, at("kl") + "/seed_" + std::to_string(seed));
    test::FakeRun hostile{.loss = "dkd=1"};
    hostile.class_names[3] =
        "</title></svg><img src=http://example.invalid/x.png onerror=alert(1)>";
    hostile.class_names[4] = "\xFF\"'&<script>console.error('ran')</script>";
    test::write_fake_run(hostile, at("dkd"));
  }
  Finished report(std::vector<std::string> words) const {
    words.insert(words.begin(), "report");
    return test::run("kdengine", words);
  }
  void expect_well_formed(const std::string& page) const {
    const Finished checked = test::run("/usr/bin/python3", {"-c", kCheckPage, page});
    EXPECT_EQ(checked.code, 0) << checked.text;
  }
  Finished show(const std::string& page, const std::vector<std::string>& more) const {
    std::vector<std::string> words{"--headless",
                                   "--no-sandbox",
                                   "--disable-gpu",
                                   "--disable-background-networking",
                                   "--disable-component-update",
                                   "--no-first-run",
                                   "--enable-logging=stderr",
                                   "--user-data-dir=" + at("profile"),
                                   "--log-net-log=" + at("net.json"),
                                   "--window-size=1280,1600"};
    words.insert(words.end(), more.begin(), more.end());
    words.push_back("file://" + page);
    return test::run(browser(), words);
  }
  test::TemporaryFolder folder_;
};

TEST_F(ReportTest, ATableTheFindingsAndThePage) {
  write_runs();
  const Finished finished = report({at("kl"), at("dkd")});
  ASSERT_EQ(finished.code, 0) << finished.text;
  for (const char* part : {"Top-1 %", "Gap closed %", " ± ", "Distillation gained", "report.html"})
    EXPECT_NE(finished.text.find(part), std::string::npos) << part << "\n" << finished.text;
  expect_well_formed(at("kl") + "/report.html");
  const std::string page = text_of(at("kl") + "/report.html");
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("<img src=http"), std::string::npos);
}

TEST_F(ReportTest, RunsOfEveryKindMakeAWellFormedPage) {
  test::write_fake_run({.epochs = 1, .baseline_skill = 0, .scorecard = false}, at("bare"));
  test::write_fake_run({.baseline_skill = 0, .teacher = "", .dev = false}, at("alone"));
  test::FakeRun many{.per_class = 6};
  for (int i = 10; i < 100; ++i) many.class_names.push_back("class " + std::to_string(i));
  test::write_fake_run(many, at("many"));
  fs::create_directories(at("begun"));
  write_file(at("begun") + "/run.json", R"({"config": {}, "best_top1": -1, "finished": false})");
  write_file(at("begun") + "/metrics.jsonl", "{\"epoch\": 1, \"lr\": 0.1, \"train_loss\": null}\n");
  for (const char* name : {"bare", "alone", "many", "begun"}) {
    const Finished finished = report({at(name)});
    EXPECT_EQ(finished.code, 0) << finished.text;
    expect_well_formed(at(name) + "/report.html");
  }
  EXPECT_EQ(report({at("bare"), at("alone"), at("begun"), "--output", at("all.html")}).code, 0);
  expect_well_formed(at("all.html"));
}

TEST_F(ReportTest, ARunOfTheTrainerIsRead) {
  const test::SmallTask task;
  const std::string run = task.at("run");
  const Finished trained = test::run(
      "kdengine", {"--student", task.at("student.json"), "--data", task.at("data"), "--output", run,
                   "--batch-size", "8", "--threads", "1", "--epochs", "3"});
  ASSERT_EQ(trained.code, 0) << trained.text;
  const Finished finished = report({run});
  ASSERT_EQ(finished.code, 0) << finished.text;
  EXPECT_NE(finished.text.find("Trained without a teacher: top-1"), std::string::npos)
      << finished.text;
  expect_well_formed(run + "/report.html");
  EXPECT_EQ(count_of(text_of(run + "/report.html"), "<polyline "), 3u + 2 + 1)
      << "loss, its term, validation; top-1 twice; learning rate";
}

TEST_F(ReportTest, JsonHoldsTheSame) {
  write_runs();
  const Finished finished = report({at("kl"), "--json"});
  ASSERT_EQ(finished.code, 0) << finished.text;
  const Json json = parse_json(finished.text, "report --json");
  const Json& group = json.at("groups").at(0);
  EXPECT_EQ(group.at("summary").at("top1").at("count"), 3);
  EXPECT_EQ(group.at("runs").at(0).at("scorecard").at("test_samples"), 1000);
  EXPECT_EQ(group.at("runs").at(0).at("curves").at("train_kl").size(), 40u);
  EXPECT_FALSE(fs::exists(at("kl") + "/report.html")) << "a page only if asked for";
}

TEST_F(ReportTest, CompareNeedsNoScorecard) {
  test::write_fake_run({.epochs = 2, .baseline_skill = 0, .scorecard = false}, at("a"));
  const Finished finished = test::run("kdengine", {"compare", at("a")});
  EXPECT_EQ(finished.code, 0);
  for (const char* part : {"best top-1", "272474", "0 KiB", "2810 img/s"})
    EXPECT_NE(finished.text.find(part), std::string::npos) << part << "\n" << finished.text;
  const Finished nothing = report({at("nothing")});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_NE(nothing.text.find("holds no run"), std::string::npos) << nothing.text;
}

TEST_F(ReportTest, ABrowserShowsItAndAsksNobodyElse) {
  if (browser().empty()) GTEST_SKIP() << "no Chromium here: apt-get install chromium";
  write_runs();
  const std::string page = at("page.html");
  ASSERT_EQ(report({at("kl"), at("dkd"), "--output", page}).code, 0);
  const Finished shown = show(page, {"--dump-dom"});
  ASSERT_EQ(shown.code, 0) << shown.text;
  EXPECT_EQ(shown.text.find("CONSOLE"), std::string::npos) << "the console must stay empty";
  EXPECT_EQ(shown.text.find("<script"), std::string::npos);
  EXPECT_EQ(count_of(shown.text, "<tbody>"), 4u) << "two of all runs, and the models of each";
  EXPECT_EQ(count_of(shown.text, "<th scope=\"row\">"), 2u + 2 + 3 + 3);
  EXPECT_EQ(count_of(shown.text, "<svg "), count_of(shown.text, "</svg>"));
  EXPECT_EQ(count_of(shown.text, "<svg "), 2u * 7) << "3 curves, 4 diagrams each";
  EXPECT_EQ(count_of(shown.text, "<polyline "), 2u * (4 + 4 + 1));
  EXPECT_EQ(count_of(shown.text, "<img alt="), 2u * 5 * 6);
  EXPECT_EQ(text_of(at("net.json")).find("example.invalid"), std::string::npos);
}

TEST_F(ReportTest, ThePictureOfItIsNotBlank) {
  if (browser().empty()) GTEST_SKIP() << "no Chromium here: apt-get install chromium";
  write_runs();
  const std::string page = at("page.html");
  ASSERT_EQ(report({at("kl"), "--output", page}).code, 0);
  std::set<uint32_t> backgrounds;
  for (const char* scheme : {"0", "1"}) {  // dark, light
    const std::string file = at(std::string("shot") + scheme + ".png");
    const Finished shown = show(
        page,
        {"--screenshot=" + file, std::string("--blink-settings=preferredColorScheme=") + scheme});
    ASSERT_EQ(shown.code, 0) << shown.text;
    const Image image = load_image(file, 3);
    const auto colour_at = [&](size_t i) {
      const uint8_t* p = image.pixels.data() + 3 * i;
      return uint32_t{p[0]} << 16 | uint32_t{p[1]} << 8 | uint32_t{p[2]};
    };
    const size_t count = image.pixels.size() / 3;
    size_t marked = 0;
    std::set<uint32_t> colours;
    for (size_t i = 0; i < count; ++i) {
      marked += colour_at(i) != colour_at(0);
      colours.insert(colour_at(i));
    }
    EXPECT_GT(marked, count / 10);
    EXPECT_GT(colours.size(), 100u);
    backgrounds.insert(colour_at(0));
  }
  EXPECT_EQ(backgrounds.size(), 2u) << "the dark scheme differs from the light one";
}

}  // namespace
}  // namespace kd
