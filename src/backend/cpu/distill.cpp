// The fused distillation loss, row by row in double.
#include <algorithm>

#include "backend/cpu/cpu.h"
#include "backend/distill_inputs.h"
#include "kernels/distill_pairs.h"

namespace kd::cpu {
namespace {

using kernels::DistillValues;
using SumRow = kernels::DistillRow<double>;
using PairRow = kernels::PairTerms<double>;
using Labels = kernels::RowLabels<double>;

struct Loss {
  kernels::DistillParams params;  // weights as the gradient has them
  kernels::DistillConstants<double> constants;
  int64_t classes;
};
struct LossRow {
  const float *s, *t;
  float* gradient;
  Labels labels;
};

DistillValues sum_row(const Loss& loss, const LossRow& r) {
  SumRow row(loss.params, loss.constants, loss.classes, r.labels);
  for (int64_t k = 0; k < loss.classes; ++k) row.maximum(r.s[k], r.t[k]);
  for (int64_t k = 0; k < loss.classes; ++k) {
    row.scan(k, r.s[k], r.t[k], row.powers(r.s[k], r.t[k]));
  }
  row.finish();
  for (int64_t k = 0; k < loss.classes; ++k) {
    const auto powers = row.powers(r.s[k], r.t[k]);
    r.gradient[k] = static_cast<float>(row.grad(k, r.s[k], r.t[k], powers));
  }
  return row.values();
}

// With terms of distill_pairs.h.
DistillValues pair_row(const Loss& loss, const LossRow& r) {
  SumRow sums(loss.params, loss.constants, loss.classes, r.labels);
  PairRow pairs(loss.params, loss.constants.terms, loss.classes, r.labels, r.s[0], r.t[0]);
  const int classes = static_cast<int>(loss.classes);
  for (int k = 0; k < classes; ++k) {
    sums.maximum(r.s[k], r.t[k]);
    pairs.survey(k, r.s[k], r.t[k]);
  }
  pairs.settle();
  for (int k = 0; k < classes; ++k) {
    sums.scan(k, r.s[k], r.t[k], sums.powers(r.s[k], r.t[k]));
    pairs.scan(k, r.s[k], r.t[k]);
  }
  sums.finish();
  pairs.finish_sums();
  for (int k = 0; k < classes; ++k) pairs.compare(k, r.s[k], r.t[k]);
  pairs.finish();
  for (int k = 0; k < classes; ++k) {
    const double of_sums = sums.grad(k, r.s[k], r.t[k], sums.powers(r.s[k], r.t[k]));
    r.gradient[k] = static_cast<float>(of_sums + pairs.grad(k, r.s[k], r.t[k]));
  }
  DistillValues values = sums.values();
  pairs.add_values(values);
  return values;
}

struct Inputs {
  const float *student, *teacher;
  const int32_t *labels, *partner_labels;
  const float *shares, *term_weights, *loss_scale;

  Inputs(const Pointers& p, const DistillLossAttrs& attrs)
      : student(in<float>(p, 0)),
        teacher(loss_input<float>(p, attrs, LossInput::teacher)),
        labels(loss_input<int32_t>(p, attrs, LossInput::labels)),
        partner_labels(loss_input<int32_t>(p, attrs, LossInput::partner_labels)),
        shares(loss_input<float>(p, attrs, LossInput::shares)),
        term_weights(loss_input<float>(p, attrs, LossInput::term_weights)),
        loss_scale(loss_input<float>(p, attrs, LossInput::loss_scale)) {}
  Labels labels_of(int64_t row) const {
    if (labels == nullptr) return {};
    if (partner_labels == nullptr) return Labels::of(labels[row]);
    return Labels::of(labels[row], partner_labels[row], double{shares[row]});
  }
  // The weights of this step, divided by the rows.
  kernels::DistillParams weighted(kernels::DistillParams params, int64_t rows) const {
    size_t term = 0;
    params.each_weight([&](double& weight) {
      if (term_weights != nullptr) weight *= double{term_weights[term++]};
      weight /= static_cast<double>(rows);
    });
    return params;
  }
};

// Sums the rows' values in order: the same bits on any number of threads.
void reduce_loss(const DistillValues* rows, int64_t count, const DistillLossAttrs& attrs,
                 const Inputs& inputs, float* total, float* terms) {
  std::array<double, kLossTerms> sums{};
  for (int64_t i = 0; i < count; ++i) {
    size_t term = 0;
    rows[i].each([&](double value) { sums[term++] += value; });
  }
  double weighted = 0;
  for (size_t k = 0; k < sums.size(); ++k) {
    const double mean = sums[k] / static_cast<double>(count);
    terms[k] = static_cast<float>(mean);
    const double factor = inputs.term_weights != nullptr ? double{inputs.term_weights[k]} : 1;
    const double weight = attrs.weight[k] * factor;
    if (weight != 0) weighted += weight * mean;
  }
  *total = static_cast<float>(weighted);
}

}  // namespace

StepPtr prepare_distill_loss(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  const int64_t rows = x[0], classes = x[1];
  const auto attrs = request.node.attr<DistillLossAttrs>();
  const auto params = distill_params(attrs);
  const auto constants = kernels::DistillConstants<double>::of(params);
  const bool has_pairs = (constants.terms & kernels::kPairTerms) != 0;
  return make_step(
      [=](const Pointers& p) {
        const Inputs inputs(p, attrs);
        const float *s = inputs.student, *t = inputs.teacher != nullptr ? inputs.teacher : s;
        const Loss loss{inputs.weighted(params, rows), constants, classes};
        auto* values = static_cast<DistillValues*>(p.workspace);
#pragma omp parallel for schedule(static)
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t at = row * classes;
          float* gradient = out<float>(p, 2) + at;
          const LossRow one{s + at, t + at, gradient, inputs.labels_of(row)};
          values[row] = has_pairs ? pair_row(loss, one) : sum_row(loss, one);
          if (inputs.loss_scale == nullptr) continue;
          for (int64_t k = 0; k < classes; ++k) gradient[k] *= *inputs.loss_scale;
        }
        reduce_loss(values, rows, attrs, inputs, out<float>(p, 0), out<float>(p, 1));
      },
      static_cast<size_t>(rows) * sizeof(DistillValues));
}

}  // namespace kd::cpu
