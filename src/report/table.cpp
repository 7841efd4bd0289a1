#include "report/table.h"

#include <fmt/format.h>

#include <cmath>

#include "report/encode.h"

namespace kd {
namespace {

size_t characters(const std::string& utf8) {
  return static_cast<size_t>(
      std::ranges::count_if(utf8, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string pad(const std::string& text, size_t width, bool left) {
  const std::string space(width - std::min(width, characters(text)), ' ');
  return left ? text + space : space + text;
}

std::string with_separators(const std::string& number) {
  const size_t dot = std::min(number.find('.'), number.size());
  std::string out = number;
  for (size_t i = dot; i > 3; i -= 3) out.insert(i - 3, ",");
  return out;
}

}  // namespace

std::string to_text(const Table& table) {
  std::string text;
  std::vector<size_t> widths;
  for (size_t c = 0; c < table.columns.size(); ++c) {
    size_t longest = characters(table.columns[c].title);
    for (const auto& row : table.rows) longest = std::max(longest, characters(row[c]));
    widths.push_back(std::max(longest + (c > 0 ? 2 : 0), table.columns[c].minimum_width));
  }
  for (size_t c = 0; c < widths.size(); ++c) text += pad(table.columns[c].title, widths[c], c == 0);
  text += "\n";
  for (const auto& row : table.rows) {
    for (size_t c = 0; c < widths.size(); ++c) text += pad(row[c], widths[c], c == 0);
    text += "\n";
  }
  return text;
}

std::string to_html(const Table& table, const std::string& about) {
  std::string html = "<div class=\"sheet\"><div class=\"scroll\" tabindex=\"0\"><table><thead><tr>";
  for (const Column& column : table.columns) {
    html += fmt::format("<th scope=\"col\" title=\"{}\">{}</th>", escape(column.help),
                        escape(column.title));
  }
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    html += "<tr><th scope=\"row\">" + escape(row[0]) + "</th>";
    for (size_t c = 1; c < row.size(); ++c) html += "<td>" + escape(row[c]) + "</td>";
    html += "</tr>\n";
  }
  return html + "</tbody></table></div><p class=\"about\">" + escape(about) + "</p></div>\n";
}

std::string cell(const std::optional<double>& value, int decimals) {
  if (!value) return "–";
  const std::string digits = with_separators(fmt::format("{:.{}f}", std::abs(*value), decimals));
  return (*value < 0 ? "−" : "") + digits;
}

std::string cell(const std::optional<Spread>& value, int decimals) {
  if (!value) return "–";
  const std::string mean = cell(std::optional(value->mean), decimals);
  return value->count < 2 ? mean : fmt::format("{} ± {:.{}f}", mean, value->sd, decimals);
}

std::string signed_cell(const std::optional<Spread>& value, int decimals) {
  return (value && value->mean >= 0 ? "+" : "") + cell(value, decimals);
}

}  // namespace kd
