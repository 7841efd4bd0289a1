#include <cmath>

#include "distill/terms/terms.h"
#include "kd/random.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

// The mean of exp(<a, b> / T) over unit vectors of D dimensions, by its Taylor series: Gamma(D / 2)
// (2 / k)^(D / 2 - 1) I_{D / 2 - 1}(k), k = 1 / T.
double mean_exponential(int64_t dimensions, double temperature) {
  const double quarter = 1 / (4 * temperature * temperature);
  double sum = 1, summand = 1;
  for (int i = 1; summand > 1e-17 * sum; ++i) {
    summand *= quarter / (i * (static_cast<double>(dimensions) / 2 + i - 1));
    sum += summand;
  }
  return sum;
}

// Rows of L2 norm 1 in random directions.
Tensor random_bank(int64_t rows, int64_t width, uint64_t stream) {
  Tensor bank = Tensor::host({DType::f32, {rows, width}});
  RandomSequence random(0, Purpose::init, 0, stream);
  for (int64_t row = 0; row < rows; ++row) {
    float* out = bank.as<float>() + row * width;
    double squares = 1e-30;
    for (int64_t i = 0; i < width; ++i) {
      out[i] = static_cast<float>(random.normal());
      squares += double{out[i]} * double{out[i]};
    }
    for (int64_t i = 0; i < width; ++i) {
      out[i] = static_cast<float>(double{out[i]} / std::sqrt(squares));
    }
  }
  return bank;
}

struct Side {
  Value embedding, bank;  // (N, D), (population, D)
};

Side side(TermGraph& term, const std::string& name, Value features, uint64_t stream) {
  const auto width = static_cast<int64_t>(term.param("embedding"));
  const Value embedding = term.layer(name, term.rows(features), width);
  return {unit_rows(term.graph(), embedding),
          term.state(name + "_bank", random_bank(term.parts().population, width, stream))};
}

// The anchors' odds against noise, e^v = P / (K / M), are to be high for column 0 and low for the
// others: sum_j log(1 + e^v_j) - v_0, which is -log P_0 / (P_0 + K / M) - sum_j log (K / M) / (P_j
// + K / M) without their large parts that cancel.
Value contrast(TermGraph& term, Value anchors, Value bank, Value index) {
  Graph& graph = term.graph();
  const double temperature = term.param("temperature");
  const double normaliser = mean_exponential(graph.shape(bank)[1], temperature);
  const Value v = affine(graph, gather_dot(graph, anchors, bank, index), 1 / temperature,
                         -std::log(normaliser * term.param("negatives")));
  const Value all = batch_mean_of_row_sums(graph, log(graph, affine(graph, exp(graph, v), 1, 1)));
  const SliceAttrs own{.axes = {1}, .begin = {0}, .end = {1}, .step = {1}};
  return sub(graph, all, mean(graph, slice(graph, v, own)));
}

Value build(TermGraph& term) {
  Graph& graph = term.graph();
  const TermGraph::Parts& parts = term.parts();
  const Side s = side(term, "student", term.taps()[0].student, 1);
  const Side t = side(term, "teacher", term.taps()[0].teacher, 2);
  const NegativesAttrs attrs{.count = static_cast<int64_t>(term.param("negatives")),
                             .population = parts.population};
  const Value index = sample_negatives(graph, parts.key, parts.ids, parts.all_labels, attrs);
  const Value value = add(graph, contrast(term, s.embedding, t.bank, index),
                          contrast(term, t.embedding, s.bank, index));
  const BankUpdateAttrs update{.momentum = term.param("momentum")};
  bank_update(graph, s.bank, parts.ids, s.embedding, update);
  bank_update(graph, t.bank, parts.ids, t.embedding, update);
  return value;
}

}  // namespace

const TermDef term_crd{
    .name = "crd",
    .formula =
        "mean_i [-log P_i0 / (P_i0 + K/M) - sum_j log (K/M) / (P_ij + K/M)] of the student's "
        "embeddings against a bank of the teacher's, and the reverse; P_ij = exp(<v_i, bank_j> / "
        "T) / Z, j = 0 the picture itself, then K of other classes among M (contrastive "
        "representation distillation, Tian et al. 2020); Z = M E exp(<a, b> / T) of random unit "
        "vectors, what a first batch against the random banks would estimate",
    .needs_teacher = true,
    .params = {{"negatives", 16384, 1, 1 << 20, "K, for each picture"},
               {"temperature", 0.07, 0.05, 10, "T"},
               {"momentum", 0.5, 0, 1, "share of a bank's row that stays when its picture is seen"},
               {"embedding", 128, 1, 4096, "width of the embeddings, which linear layers make"}},
    .least_taps = 1,
    .most_taps = 1,
    .taps = DefaultTaps::features,
    .build = build,
    .needs_ids = true};

}  // namespace kd
