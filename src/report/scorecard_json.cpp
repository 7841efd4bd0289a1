// scorecard.json, and the key "failure" of run.json.
#include "report/scorecard_json.h"

#include <cmath>

#include "core/file.h"
#include "report/encode.h"

namespace kd {
namespace {

constexpr int kVersion = 1;

Json number(double value) {
  KD_CHECK(std::isfinite(value), "scorecard: a number is {}", value);
  return value;
}
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(); }

std::optional<double> read_number(StrictObject& object, const std::string& key) {
  if (object.raw(key).is_null()) return std::nullopt;
  return object.required<double>(key);
}

Json write(const Calibration& c) {
  Json bins = Json::array();
  for (const ReliabilityBin& bin : c.bins) {
    bins.push_back({{"count", bin.count},
                    {"confidence", number(bin.confidence)},
                    {"accuracy", number(bin.accuracy)}});
  }
  return {
      {"nll", number(c.nll)}, {"brier", number(c.brier)}, {"ece", number(c.ece)}, {"bins", bins}};
}

Calibration read_calibration(const Json& json, const std::string& where) {
  StrictObject object(json, where);
  Calibration c{object.required<double>("nll"),
                object.required<double>("brier"),
                object.required<double>("ece"),
                {}};
  for (const Json& entry : object.raw("bins")) {
    StrictObject bin(entry, where + " bins");
    c.bins.push_back({bin.required<int64_t>("count"), bin.required<double>("confidence"),
                      bin.required<double>("accuracy")});
    bin.finish();
  }
  KD_CHECK(c.bins.size() == kReliabilityBins, "{}: {} bins, expected {}", where, c.bins.size(),
           kReliabilityBins);
  object.finish();
  return c;
}

Json write(const ModelScore& s) {
  Json class_top1 = Json::array();
  for (const auto& value : s.class_top1) class_top1.push_back(number(value));
  return {{"top1", number(s.top1)},
          {"top5", number(s.top5)},
          {"raw", write(s.raw)},
          {"temperature", number(s.temperature)},
          {"fitted", s.fitted ? write(*s.fitted) : Json()},
          {"class_top1", class_top1}};
}
Json write(const std::optional<ModelScore>& s) { return s ? write(*s) : Json(); }

std::optional<ModelScore> read_model(const Json& json, size_t classes, const std::string& where) {
  if (json.is_null()) return std::nullopt;
  StrictObject object(json, where);
  ModelScore s;
  s.top1 = object.required<double>("top1");
  s.top5 = object.required<double>("top5");
  s.raw = read_calibration(object.raw("raw"), where + " raw");
  s.temperature = read_number(object, "temperature");
  const Json& fitted = object.raw("fitted");
  if (!fitted.is_null()) s.fitted = read_calibration(fitted, where + " fitted");
  for (const Json& value : object.raw("class_top1")) {
    KD_CHECK(value.is_null() || value.is_number(), "{}: class_top1 has {}", where, value.dump());
    s.class_top1.push_back(value.is_null() ? std::nullopt : std::optional(value.get<double>()));
  }
  KD_CHECK(s.class_top1.size() == classes, "{}: class_top1 has {} values for {} classes", where,
           s.class_top1.size(), classes);
  object.finish();
  return s;
}

Json write(const ModelCost& c) {
  return {{"parameters", number(c.parameters)},
          {"flops", number(c.flops)},
          {"latency_ms", number(c.latency_ms)},
          {"images_per_second", number(c.images_per_second)},
          {"peak_memory_bytes", number(c.peak_memory_bytes)}};
}

ModelCost read_cost(const Json& json, const std::string& where) {
  StrictObject object(json, where);
  ModelCost c{read_number(object, "parameters"), read_number(object, "flops"),
              read_number(object, "latency_ms"), read_number(object, "images_per_second"),
              read_number(object, "peak_memory_bytes")};
  object.finish();
  return c;
}

// Only what is not 0, as [label, answer, count]: short for 1000 classes too.
Json write_confusion(const Scorecard& card) {
  Json cells = Json::array();
  const size_t classes = card.class_names.size();
  for (size_t i = 0; i < card.confusion.size(); ++i) {
    if (card.confusion[i] != 0) cells.push_back({i / classes, i % classes, card.confusion[i]});
  }
  return cells;
}

std::vector<int64_t> read_confusion(const Json& json, size_t classes, const std::string& where) {
  std::vector<int64_t> counts(classes * classes);
  for (const Json& cell : json) {
    KD_CHECK(cell.is_array() && cell.size() == 3 && cell[0].is_number_unsigned() &&
                 cell[1].is_number_unsigned() && cell[2].is_number_integer() &&
                 cell[0].get<size_t>() < classes && cell[1].get<size_t>() < classes,
             "{}: confusion has {}, expected [label, answer, count]", where, cell.dump());
    counts[cell[0].get<size_t>() * classes + cell[1].get<size_t>()] = cell[2].get<int64_t>();
  }
  return counts;
}

Json write_worst(const std::vector<WorstClass>& worst) {
  Json list = Json::array();
  for (const WorstClass& w : worst) {
    Json mistakes = Json::array();
    for (const Mistake& m : w.mistakes) {
      mistakes.push_back({{"sample_id", m.sample_id},
                          {"name", m.name},
                          {"predicted", m.predicted},
                          {"confidence", number(m.confidence)},
                          {"png", to_base64(m.png)}});
    }
    list.push_back({{"label", w.label}, {"mistakes", mistakes}});
  }
  return list;
}

std::vector<WorstClass> read_worst(const Json& json, size_t classes, const std::string& where) {
  const auto label_of = [&](StrictObject& object, const std::string& key) {
    const int label = object.required<int>(key);
    KD_CHECK(label >= 0 && static_cast<size_t>(label) < classes, "{}: {} is {} of {} classes",
             where, key, label, classes);
    return label;
  };
  std::vector<WorstClass> worst;
  for (const Json& entry : json) {
    StrictObject object(entry, where + " worst");
    WorstClass& w = worst.emplace_back(WorstClass{label_of(object, "label"), {}});
    for (const Json& example : object.raw("mistakes")) {
      StrictObject m(example, where + " mistakes");
      w.mistakes.push_back({m.required<int64_t>("sample_id"), m.required<std::string>("name"),
                            label_of(m, "predicted"), m.required<double>("confidence"),
                            from_base64(m.required<std::string>("png"), where + " png")});
      m.finish();
    }
    object.finish();
  }
  return worst;
}

}  // namespace

Json scorecard_json(const Scorecard& card) {
  return {{"version", kVersion},
          {"class_names", card.class_names},
          {"test_samples", card.test_samples},
          {"dev_samples", card.dev_samples},
          {"student", write(card.student)},
          {"teacher", write(card.teacher)},
          {"baseline", write(card.baseline)},
          {"agreement", number(card.agreement)},
          {"kl", number(card.kl)},
          {"gap_closed", number(card.gap_closed)},
          {"student_train_top1", number(card.student_train_top1)},
          {"teacher_train_top1", number(card.teacher_train_top1)},
          {"student_cost", write(card.student_cost)},
          {"teacher_cost", write(card.teacher_cost)},
          {"worst", write_worst(card.worst)},
          {"confusion", write_confusion(card)}};
}

std::string dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string scorecard_to_json(const Scorecard& card) { return dump(scorecard_json(card), -1); }

Scorecard scorecard_from_json(std::string_view text, const std::string& where) {
  const Json json = parse_json(text, where);
  StrictObject object(json, where);
  const int version = object.required<int>("version");
  KD_CHECK(version == kVersion, "{}: version {}, this program reads {}", where, version, kVersion);
  Scorecard card;
  card.class_names = object.required<std::vector<std::string>>("class_names");
  const size_t classes = card.class_names.size();
  card.test_samples = object.required<int64_t>("test_samples");
  card.dev_samples = object.required<int64_t>("dev_samples");
  const auto student = read_model(object.raw("student"), classes, where + " student");
  KD_CHECK(student, "{}: no student", where);
  card.student = *student;
  card.teacher = read_model(object.raw("teacher"), classes, where + " teacher");
  card.baseline = read_model(object.raw("baseline"), classes, where + " baseline");
  card.agreement = read_number(object, "agreement");
  card.kl = read_number(object, "kl");
  card.gap_closed = read_number(object, "gap_closed");
  card.student_train_top1 = read_number(object, "student_train_top1");
  card.teacher_train_top1 = read_number(object, "teacher_train_top1");
  card.student_cost = read_cost(object.raw("student_cost"), where + " student_cost");
  card.teacher_cost = read_cost(object.raw("teacher_cost"), where + " teacher_cost");
  card.worst = read_worst(object.raw("worst"), classes, where);
  card.confusion = read_confusion(object.raw("confusion"), classes, where);
  object.finish();
  return card;
}

void save_scorecard(const Scorecard& card, const std::filesystem::path& run_folder) {
  write_file(run_folder / "scorecard.json", scorecard_to_json(card) + "\n");
}

std::string failure_to_json(const Failure& f) {
  return dump({{"step", f.step},
               {"term", f.term},
               {"layer", f.layer},
               {"tensor", f.tensor},
               {"sample_ids", f.sample_ids}},
              -1);
}

Failure failure_from_json(const Json& json, const std::string& where) {
  StrictObject object(json, where + " failure");
  Failure f;
  f.step = object.required<int64_t>("step");
  f.term = object.optional<std::string>("term", "");
  f.layer = object.optional<std::string>("layer", "");
  f.tensor = object.optional<std::string>("tensor", "");
  f.sample_ids = object.optional<std::vector<int64_t>>("sample_ids", {});
  object.finish();
  return f;
}

}  // namespace kd
