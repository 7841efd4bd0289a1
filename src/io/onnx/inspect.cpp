#include "io/onnx/inspect.h"

#include <fmt/format.h>

#include "io/onnx/graph_walk.h"
#include "io/onnx/operators.h"
#include "io/onnx/session.h"
#include "kd/error.h"

namespace kd {
namespace {

using namespace onnx_import;

std::string shape_text(const std::vector<int64_t>& dims) {
  return fmt::format("({})", fmt::join(dims, ", "));
}

std::string value_text(const onnx::ValueInfoProto& value) {
  std::vector<std::string> dims;
  const auto& type = value.type().tensor_type();
  for (const auto& dim : type.shape().dim()) {
    dims.push_back(dim.has_dim_value()       ? std::to_string(dim.dim_value())
                   : dim.dim_param().empty() ? "?"
                                             : dim.dim_param());
  }
  return fmt::format(
      "{} ({}), {}", value.name(), fmt::join(dims, ", "),
      onnx::TensorProto_DataType_Name(static_cast<onnx::TensorProto_DataType>(type.elem_type())));
}

bool inputs_known(const Lowering& l, const onnx::NodeProto& node) {
  for (const std::string& input : node.input()) {
    if (!input.empty() && l.find(input) == nullptr) return false;
  }
  return true;
}

int64_t stored_parameters(const Lowering& l, const onnx::NodeProto& node) {
  int64_t count = 0;
  for (const std::string& input : node.input()) {
    const Entry* entry = input.empty() ? nullptr : l.find(input);
    if (entry == nullptr || entry->stored == nullptr) continue;
    count += checked_count({entry->stored->dims().begin(), entry->stored->dims().end()}, input);
  }
  return count;
}

InspectedNode inspect_node(Lowering& l, const onnx::NodeProto& node) {
  InspectedNode row{.op = node.op_type(), .name = node.name(), .shape = {}, .problem = {}};
  if (row.name.empty() && node.output_size() > 0) row.name = node.output(0);
  row.reached = inputs_known(l, node);
  if (!row.reached) {
    if (!is_understood(row.op)) row.problem = "this operator is not supported";
    return row;
  }
  const size_t before = l.graph().nodes().size();
  try {
    row.parameters = stored_parameters(l, node);
    lower(l, node);
    const Entry* made = l.find(node.output(0));
    if (made && !made->is_constant()) row.shape = shape_text(l.dims(made->view));
    if (made && made->constant) row.shape = shape_text(made->constant->dims) + " constant";
  } catch (const Error& error) {
    row.problem = error.what();
  }
  for (size_t i = before; i < l.graph().nodes().size(); ++i) {
    const Node& added = l.graph().nodes()[i];
    if (added.op->cost) row.flops += added.op->cost(l.graph(), added).flops;
  }
  return row;
}

void inspect_graph(const onnx::ModelProto& proto, const std::filesystem::path& path,
                   const ImportOptions& options, Inspection& result) {
  const std::string output = chosen_output(proto.graph(), options);
  Session session(proto, path.parent_path(), options);
  GraphWalk(proto, session.lowering, [&](const onnx::NodeProto& node) {
    result.nodes.push_back(inspect_node(session.lowering, node));
    const InspectedNode& row = result.nodes.back();
    if (!row.problem.empty()) {
      result.problems.push_back(row.reached ? row.problem
                                            : row.op + " '" + row.name + "': " + row.problem);
    }
  }).walk(output);
  if (result.problems.empty()) finish_import(session, proto, output, options);
}

}  // namespace

Inspection inspect_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  Inspection result;
  const onnx::ModelProto proto = read_onnx(path);
  result.producer = proto.producer_name() + " " + proto.producer_version();
  result.opset = opset_of(proto);
  for (const auto& output : proto.graph().output()) {
    result.outputs += (result.outputs.empty() ? "" : "; ") + value_text(output);
  }
  for (const auto& input : proto.graph().input()) {
    result.input += (result.input.empty() ? "" : "; ") + value_text(input);
  }
  try {
    inspect_graph(proto, path, options, result);
  } catch (const Error& error) {
    result.problems.emplace_back(error.what());
  }
  return result;
}

std::string table_of(const Inspection& inspection) {
  std::string text =
      fmt::format("producer {}, opset {}\ninput    {}\noutput   {}\n\n", inspection.producer,
                  inspection.opset, inspection.input, inspection.outputs);
  text += fmt::format("{:<22}{:<44}{:<26}{:>12}{:>12}\n", "op", "name", "output", "parameters",
                      "MFLOP");
  int64_t parameters = 0;
  double flops = 0;
  for (const InspectedNode& node : inspection.nodes) {
    const std::string name =
        node.name.size() > 43 ? "..." + node.name.substr(node.name.size() - 40) : node.name;
    text += fmt::format("{:<22}{:<44}{:<26}{:>12}{:>12.2f}{}\n", node.op, name, node.shape,
                        node.parameters, node.flops / 1e6,
                        !node.reached           ? "  not reached"
                        : !node.problem.empty() ? "  would not import"
                                                : "");
    parameters += node.parameters;
    flops += node.flops;
  }
  text += fmt::format("{} nodes, {} stored numbers, {:.3f} GFLOP a picture\n\n",
                      inspection.nodes.size(), parameters, flops / 1e9);
  if (inspection.problems.empty()) return text + "It imports.\n";
  text += "It does not import:\n";
  for (const std::string& problem : inspection.problems) text += "  " + problem + "\n";
  return text;
}

}  // namespace kd
