// dropout.
#include "kernels/dropout.h"

#include "backend/cuda/cuda.h"
#include "kernels/shape.h"

namespace kd::cuda {

StepPtr prepare_dropout(const PrepareRequest& request) {
  if (request.node.inputs.size() == 1) {  // inference
    const auto bytes = static_cast<int64_t>(in_desc(request, 0).bytes());
    return make_step([=](kernels::StreamRef stream, const Pointers& p) {
      if (p.inputs[0] != p.outputs[0]) kernels::copy(stream, p.inputs[0], p.outputs[0], bytes);
    });
  }
  const auto& attrs = request.node.attr<DropoutAttrs>();
  kernels::DropoutArgs planned;
  planned.type = type_of(in_desc(request, 0).dtype);
  planned.count = in_shape(request, 0).elements();
  planned.rate = attrs.rate;
  planned.tensor_id = attrs.tensor_id;
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.x = p.inputs[0];
    args.y = p.outputs[0];
    args.key = in<int64_t>(p, 1);
    kernels::dropout(stream, args);
  });
}

}  // namespace kd::cuda
