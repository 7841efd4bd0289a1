// sum_to.
#include "kernels/sums.h"

#include "backend/cuda/cuda.h"
#include "backend/cuda/steps/extents.h"

namespace kd::cuda {

StepPtr prepare_sum_to(const PrepareRequest& request) {
  const kernels::SumArgs planned{.type = type_of(in_desc(request, 0).dtype),
                                 .dims_x = extents_of(in_shape(request, 0)),
                                 .dims_y = extents_of(out_shape(request, 0))};
  return make_step(
      [args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
        args.x = p.inputs[0];
        args.y = p.outputs[0];
        args.workspace = p.workspace;
        kernels::sum_to(stream, args);
      },
      kernels::sum_workspace(planned.dims_x, planned.dims_y));
}

}  // namespace kd::cuda
