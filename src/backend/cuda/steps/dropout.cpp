// dropout.
#include "kernels/dropout.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {

StepPtr prepare_dropout(const PrepareRequest& request) {
  if (request.node.inputs.size() == 1) return prepare_stop_gradient(request);  // inference
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
