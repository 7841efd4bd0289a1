// The fused distillation loss.
#include "backend/cuda/cuda.h"
#include "backend/distill_inputs.h"
#include "kd/error.h"
#include "kernels/distill_loss.h"

namespace kd::cuda {

StepPtr prepare_distill_loss(const PrepareRequest& request) {
  const TensorDesc& student = in_desc(request, 0);
  const DistillInputs places = distill_inputs(request);
  kernels::DistillLossArgs args;
  args.type = type_of(student.dtype);
  args.rows = student.shape[0], args.classes = student.shape[1];
  args.params = distill_params(request.node.attr<DistillLossAttrs>(), 1);
  KD_CHECK(args.classes <= kernels::kMostDistillClasses,
           "distill_loss '{}': {} classes, at most {}", request.node.name, args.classes,
           kernels::kMostDistillClasses);
  return make_step(
      [=](kernels::StreamRef stream, const Pointers& p) {
        kernels::DistillLossArgs call = args;
        call.student = p.inputs[0];
        if (places.teacher != 0) call.teacher = p.inputs[places.teacher];
        if (places.labels != 0) call.labels = in<const int32_t>(p, places.labels);
        if (places.scale != 0) call.loss_scale = in<const float>(p, places.scale);
        call.total = out<float>(p, 0);
        call.terms = out<float>(p, 1);
        call.dlogits = p.outputs[2];
        call.workspace = static_cast<float*>(p.workspace);
        kernels::distill_loss(stream, call);
      },
      kernels::distill_loss_workspace(args.rows));
}

}  // namespace kd::cuda
