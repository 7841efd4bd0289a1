// The fused distillation loss.
#include "backend/cuda/cuda.h"
#include "backend/distill_inputs.h"
#include "kd/error.h"
#include "kernels/distill_loss.h"

namespace kd::cuda {

StepPtr prepare_distill_loss(const PrepareRequest& request) {
  const TensorDesc& student = in_desc(request, 0);
  const auto attrs = request.node.attr<DistillLossAttrs>();
  kernels::DistillLossArgs args;
  args.type = type_of(student.dtype);
  args.rows = student.shape[0], args.classes = student.shape[1];
  args.params = distill_params(attrs);
  KD_CHECK(args.classes <= kernels::kMostDistillClasses,
           "distill_loss '{}': {} classes, at most {}", request.node.name, args.classes,
           kernels::kMostDistillClasses);
  return make_step(
      [=](kernels::StreamRef stream, const Pointers& p) {
        kernels::DistillLossArgs call = args;
        call.student = p.inputs[0];
        call.teacher = loss_input<void>(p, attrs, LossInput::teacher);
        call.labels = loss_input<int32_t>(p, attrs, LossInput::labels);
        call.partner_labels = loss_input<int32_t>(p, attrs, LossInput::partner_labels);
        call.shares = loss_input<float>(p, attrs, LossInput::shares);
        call.term_weights = loss_input<float>(p, attrs, LossInput::term_weights);
        call.loss_scale = loss_input<float>(p, attrs, LossInput::loss_scale);
        call.total = out<float>(p, 0);
        call.terms = out<float>(p, 1);
        call.dlogits = p.outputs[2];
        call.workspace = static_cast<float*>(p.workspace);
        kernels::distill_loss(stream, call);
      },
      kernels::distill_loss_workspace(args.rows));
}

}  // namespace kd::cuda
