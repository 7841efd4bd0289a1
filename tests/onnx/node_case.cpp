#include "onnx/node_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "io/onnx/graph_walk.h"
#include "io/onnx/operators.h"
#include "kd/error.h"
#include "kd/program.h"

namespace kd::test {
namespace {

namespace fs = std::filesystem;
using namespace onnx_import;

template <class Message>
bool parse(const fs::path& file, Message& message) {
  std::ifstream stream(file, std::ios::binary);
  return stream.good() && message.ParseFromIstream(&stream);
}

std::vector<onnx::TensorProto> tensors(const fs::path& folder, const std::string& prefix,
                                       int count) {
  std::vector<onnx::TensorProto> list;
  for (int i = 0; i < count; ++i) {
    onnx::TensorProto tensor;
    if (!parse(folder / (prefix + std::to_string(i) + ".pb"), tensor)) return {};
    list.push_back(tensor);
  }
  return list;
}

bool near(double got, double want) {
  if (std::isnan(want) || std::isinf(want)) return std::isnan(want) ? std::isnan(got) : got == want;
  return std::abs(got - want) <= 1e-6 + 1e-4 * std::abs(want);
}

std::string difference(const Array& got, const Array& want) {
  if (got.dims != want.dims) return "another shape";
  for (int64_t i = 0; i < want.count(); ++i) {
    if (near(got.at(i), want.at(i))) continue;
    return "element " + std::to_string(i) + " is " + std::to_string(got.at(i)) + ", expected " +
           std::to_string(want.at(i));
  }
  return {};
}

Array array_of(const Tensor& tensor) {
  const auto dims = tensor.shape().dims();
  const auto* data = tensor.as<float>();
  return {{dims.begin(), dims.end()}, false, {data, data + tensor.elements()}, {}};
}

// The model's outputs with input `tensor` as the graph's input (-1: none).
std::vector<Array> run(const NodeCase& node_case, int tensor) {
  const onnx::GraphProto& graph = node_case.model.graph();
  Model model;
  Lowering l(model,
             {.folder = {}, .opset = node_case.model.opset_import(0).version(), .batched = false});
  define_initialisers(l, graph);
  for (int i = 0; i < graph.input_size(); ++i) {
    Entry entry;
    entry.constant = read_tensor(node_case.inputs[static_cast<size_t>(i)], {});
    if (i == tensor) {
      const Shape shape(std::span<const int64_t>(entry.constant->dims));
      model.input = model.graph.input("input", {DType::f32, shape});
      entry.constant.reset();
      entry.view = l.plain_view(model.input);
    }
    l.define(graph.input(i).name(), std::move(entry));
  }
  GraphWalk(node_case.model, l, [&](const onnx::NodeProto& node) {
    lower(l, node);
  }).walk(graph.output(0).name());
  std::vector<Array> results;
  CompileOptions options;
  std::vector<Value> values;
  for (const auto& output : graph.output()) {
    const Entry* made = l.find(output.name());
    KD_CHECK(made != nullptr && !made->quantised, "the output '{}' is not made", output.name());
    values.emplace_back();
    if (made->is_constant()) continue;
    std::vector<int> order;
    for (size_t axis = 0; axis < made->view.axes.size(); ++axis) {
      order.push_back(static_cast<int>(axis));
    }
    // A copy: an input can't be an output.
    values.back() = affine(model.graph, l.arrange(graph.node(0), made->view, order), 1);
    options.outputs.push_back(values.back());
  }
  const auto backend = make_backend(Device::cpu, {.threads = 1});
  std::vector<Array> computed;
  if (!options.outputs.empty()) {
    Program program = compile(model.graph, *backend, options);
    for (const auto& [name, stored] : model.tensors) {
      try {
        std::memcpy(program.tensor(model.graph.find(name)).data(), stored.data(), stored.bytes());
      } catch (const Error&) {
        continue;  // a weight that no output needs
      }
    }
    const Array fed = read_tensor(node_case.inputs[static_cast<size_t>(tensor)], {});
    for (int64_t i = 0; i < fed.count(); ++i) {
      program.tensor(model.input).as<float>()[i] = static_cast<float>(fed.at(i));
    }
    const auto stream = backend->stream(Priority::normal);
    program.run(*stream);
    backend->synchronize(*stream);
    for (const Value v : options.outputs) computed.push_back(array_of(program.tensor(v)));
  }
  size_t next = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const Entry* made = l.find(graph.output(static_cast<int>(i)).name());
    results.push_back(values[i]        ? computed[next++]
                      : made->constant ? *made->constant
                                       : read_tensor(*made->stored, {}));
  }
  return results;
}

std::string reason(const std::string& message) {
  const size_t at = message.find("': ");
  return at == std::string::npos ? message : message.substr(at + 3);
}

}  // namespace

bool read_case(const fs::path& folder, NodeCase& result) {
  result.name = folder.filename().string();
  if (!parse(folder / "model.onnx", result.model) || result.model.graph().node_size() == 0) {
    return false;
  }
  const onnx::GraphProto& graph = result.model.graph();
  result.op = graph.node(0).op_type();
  for (const auto& value : graph.output()) {
    if (!value.type().has_tensor_type()) return false;
  }
  for (const auto& value : graph.input()) {
    if (!value.type().has_tensor_type()) return false;
  }
  result.inputs = tensors(folder / "test_data_set_0", "input_", graph.input_size());
  result.outputs = tensors(folder / "test_data_set_0", "output_", graph.output_size());
  // Files of bfloat16 say u16.
  const auto declared = [](const auto& values, std::vector<onnx::TensorProto>& list) {
    for (size_t i = 0; i < list.size(); ++i) {
      const int type = values.Get(static_cast<int>(i)).type().tensor_type().elem_type();
      if (type == onnx::TensorProto::BFLOAT16) list[i].set_data_type(type);
    }
  };
  declared(graph.input(), result.inputs);
  declared(graph.output(), result.outputs);
  return static_cast<int>(result.inputs.size()) == graph.input_size() &&
         static_cast<int>(result.outputs.size()) == graph.output_size();
}

bool is_claimed(const NodeCase& node_case) {
  return std::ranges::all_of(node_case.model.graph().node(), [](const onnx::NodeProto& node) {
    return node.domain().empty() && is_understood(node.op_type());
  });
}

Outcome outcome_of(const NodeCase& node_case) {
  std::string refusal;
  for (int tensor = 0; tensor <= static_cast<int>(node_case.inputs.size()); ++tensor) {
    const bool folded = tensor == static_cast<int>(node_case.inputs.size());
    if (!folded &&
        node_case.inputs[static_cast<size_t>(tensor)].data_type() != onnx::TensorProto::FLOAT) {
      continue;
    }
    try {
      const std::vector<Array> got = run(node_case, folded ? -1 : tensor);
      for (size_t i = 0; i < got.size(); ++i) {
        const std::string wrong = difference(got[i], read_tensor(node_case.outputs[i], {}));
        if (!wrong.empty()) return {Outcome::Kind::wrong, wrong};
      }
      return {Outcome::Kind::passed, {}};
    } catch (const Error& error) {
      if (refusal.empty()) refusal = reason(error.what());
    }
  }
  return {Outcome::Kind::refused, refusal};
}

}  // namespace kd::test
