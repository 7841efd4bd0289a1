// models/*.json -> Model. The vocabulary is described in models/README.md.
#include "nn/builder.h"

#include "core/json.h"
#include "kd/model.h"
#include "nn/initialise.h"

namespace kd {

Value Builder::conv_norm(Value x, const Conv& spec) {
  const int64_t in = channels(x), window = spec.window;
  const Value w =
      graph_.parameter(spec.conv + ".weight", {DType::f32, {spec.channels, window, window, in}});
  const int pad = spec.window / 2;
  const Conv2dAttrs attrs{{spec.stride, spec.stride}, {1, 1}, {pad, pad, pad, pad}, 1};
  const Value y = conv2d(graph_, x, w, attrs, spec.conv);
  const TensorDesc vector{DType::f32, {spec.channels}};
  const BatchNormWeights weights{graph_.parameter(spec.norm + ".weight", vector),
                                 graph_.parameter(spec.norm + ".bias", vector),
                                 graph_.state(spec.norm + ".running_mean", vector),
                                 graph_.state(spec.norm + ".running_var", vector)};
  return batch_norm(graph_, y, weights, {}, spec.norm);
}

Value Builder::linear(Value x, int64_t classes, const std::string& name) {
  const Value w = graph_.parameter(name + ".weight", {DType::f32, {classes, graph_.shape(x)[1]}});
  const Value bias = graph_.parameter(name + ".bias", {DType::f32, {classes}});
  return kd::linear(graph_, x, w, bias, name);
}

Value Builder::subsample_and_pad(Value x, int64_t wanted, int stride, const std::string& name) {
  const Shape shape = graph_.shape(x);
  if (stride > 1) {
    x = slice(graph_, x, {{1, 2}, {0, 0}, {shape[1], shape[2]}, {stride, stride}}, name);
  }
  const int64_t extra = wanted - shape[3];
  KD_CHECK(extra >= 0, "{}: shortcut 'A' can't narrow {} channels to {}", name, shape[3], wanted);
  return pad(graph_, x, {{3}, {extra / 2}, {extra - extra / 2}}, name);
}

namespace {

// What a few bytes of JSON may ask for; the deepest that is known, ResNet-1202,
// has 600 blocks.
constexpr size_t kMostNodes = 8000;
constexpr int64_t kMostBlocks = 640, kMostChannels = 65536, kMostClasses = 1'000'000,
                  kMostParameters = 1'000'000'000;

Preprocess read_preprocess(const Json& json, const std::string& where, const Shape& input) {
  StrictObject object(json, where + ": preprocess");
  Preprocess p;
  p.resize = object.optional<int>("resize", 0);
  p.crop_height = static_cast<int>(input[1]);
  p.crop_width = static_cast<int>(input[2]);
  p.mean = object.optional("mean", p.mean);
  p.std = object.optional("std", p.std);
  p.colour = object.optional<std::string>("colour", input[3] == 1 ? "GRAY" : "RGB");
  object.finish();
  for (const double s : p.std) {
    KD_CHECK(s > 0, "{}: preprocess: std {} must be above 0", where, s);
  }
  KD_CHECK(p.colour == "RGB" || p.colour == "BGR" || p.colour == "GRAY",
           "{}: preprocess: colour '{}', expected RGB, BGR or GRAY", where, p.colour);
  KD_CHECK(p.channels() == input[3], "{}: preprocess: colour {} for an input of {} channels", where,
           p.colour, input[3]);
  return p;
}

Value read_stem(Builder& builder, Value x, const Json& json, const std::string& where) {
  StrictObject object(json, where + ": stem");
  const auto kind = object.required<std::string>("kind");
  const auto channels = object.required<int64_t>("channels");
  object.finish();
  KD_CHECK(channels >= 1 && channels <= kMostChannels, "{}: stem: channels {}, expected 1 to {}",
           where, channels, kMostChannels);
  const std::vector<std::string> kinds{"imagenet", "cifar"};
  KD_CHECK(kind == kinds[0] || kind == kinds[1], "{}: stem: unknown kind '{}'{}", where, kind,
           suggestion(kind, kinds));
  const bool large = kind == "imagenet";
  x = builder.conv_norm(x, {"conv1", "bn1", channels, large ? 7 : 3, large ? 2 : 1});
  x = builder.act(x, "relu");
  if (large) x = max_pool(builder.graph(), x, {{3, 3}, {2, 2}, {1, 1, 1, 1}}, "maxpool");
  return x;
}

Value read_stage(Builder& builder, Value x, const Json& json, const std::string& where,
                 size_t index) {
  const std::string name = "layer" + std::to_string(index + 1);
  StrictObject object(json, where + ": stages[" + std::to_string(index) + "]");
  const auto block = object.required<std::string>("block");
  const auto channels = object.required<int64_t>("channels");
  const auto blocks = object.required<int>("blocks");
  const auto stride = object.optional<int>("stride", 1);
  const auto shortcut = object.optional<std::string>("shortcut", "B");
  object.finish();
  const std::vector<std::string> kinds{"basic", "bottleneck"};
  KD_CHECK(block == kinds[0] || block == kinds[1], "{}: unknown block '{}'{}", object.where(),
           block, suggestion(block, kinds));
  KD_CHECK(shortcut == "A" || shortcut == "B", "{}: shortcut '{}', expected A or B", object.where(),
           shortcut);
  KD_CHECK(channels >= 1 && channels <= kMostChannels && blocks >= 1 && blocks <= kMostBlocks &&
               stride >= 1 && stride <= kMostChannels,
           "{}: channels {}, blocks {}, stride {}: expected 1 to {}, {}, {}", object.where(),
           channels, blocks, stride, kMostChannels, kMostBlocks, kMostChannels);
  for (int i = 0; i < blocks; ++i) {
    const BlockSpec spec{name + "." + std::to_string(i), channels, i == 0 ? stride : 1,
                         shortcut == "A" ? Shortcut::subsample : Shortcut::projection};
    x = block == "basic" ? basic_block(builder, x, spec) : bottleneck(builder, x, spec);
  }
  return x;
}

struct Head {
  int64_t classes;
  double dropout;
};

Value add_head(Builder& builder, Value x, const Head& head) {
  Graph& graph = builder.graph();
  x = flatten(graph, global_avg_pool(graph, x, "avgpool"), "flatten");
  if (head.dropout > 0) x = dropout(graph, x, {}, {head.dropout, 0}, "dropout");
  return builder.linear(x, head.classes, "fc");
}

}  // namespace

Model read_architecture(const std::filesystem::path& path, int64_t classes) {
  const std::string where = path.string();
  const Json json = read_json(where);
  StrictObject object(json, where);
  Model model;
  model.name = object.optional<std::string>("name", path.stem().string());
  const auto size = object.required<std::array<int64_t, 2>>("input_size");
  const auto channels = object.optional<int64_t>("input_channels", 3);
  KD_CHECK(size[0] >= 1 && size[1] >= 1 && size[0] <= 4096 && size[1] <= 4096,
           "{}: input_size {} x {}, expected 1 to 4096", where, size[0], size[1]);
  KD_CHECK(channels == 1 || channels == 3, "{}: input_channels {}, expected 1 or 3", where,
           channels);
  const auto own_classes = object.optional<int64_t>("classes", 1000);
  const double dropout_rate = object.optional<double>("dropout", 0);
  const auto kind = object.optional<std::string>("activation", "relu");

  model.input = model.graph.input("input", {DType::f32, {1, size[0], size[1], channels}});
  Builder builder(model.graph, activation_from_name(kind));
  Value x = read_stem(builder, model.input, object.raw("stem"), where);
  const Json& stages = object.raw("stages");
  KD_CHECK(stages.is_array() && !stages.empty(), "{}: stages must be a list of one or more", where);
  KD_CHECK(stages.size() <= kMostBlocks, "{}: {} stages, expected at most {}", where, stages.size(),
           kMostBlocks);
  for (size_t i = 0; i < stages.size(); ++i) {
    x = read_stage(builder, x, stages[i], where, i);
    KD_CHECK(model.graph.nodes().size() <= kMostNodes, "{}: more than {} layers", where,
             kMostNodes);
  }
  KD_CHECK(own_classes >= 1 && own_classes <= kMostClasses, "{}: classes {}, expected 1 to {}",
           where, own_classes, kMostClasses);
  model.logits = add_head(builder, x, {classes > 0 ? classes : own_classes, dropout_rate});
  const Json none = Json::object();
  model.preprocess = read_preprocess(object.has("preprocess") ? object.raw("preprocess") : none,
                                     where, model.graph.shape(model.input));
  object.finish();
  KD_CHECK(model.parameter_count() <= kMostParameters, "{}: {} parameters, expected at most {}",
           where, model.parameter_count(), kMostParameters);
  return model;
}

Model build_model(const std::filesystem::path& path, int64_t classes, uint64_t seed) {
  Model model = read_architecture(path, classes);
  model.tensors = initial_tensors(model.graph, seed);
  return model;
}

}  // namespace kd
