// Pieces of SVG that all diagrams share.
#pragma once

#include <fmt/format.h>

#include <string>

#include "report/encode.h"

namespace kd::svg {

inline std::string begin(double width, double height, const std::string& title) {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{2}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" height=\"{1:.0f}\">\n",
      width, height, escape(title));
}

// kind: a class of the style sheet; anchor: start, middle or end.
inline std::string text(double x, double y, const std::string& anchor, const std::string& kind,
                        const std::string& content) {
  return fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                     kind, x, y, anchor, escape(content));
}

struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};
// tip: shown when pointed at; attributes: more of them, as they are.
inline std::string box(const Box& b, const std::string& kind, const std::string& tip = {},
                       const std::string& attributes = {}) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
      "height=\"{:.1f}\"{}>{}</rect>\n",
      kind, b.x, b.y, b.width, b.height, attributes,
      tip.empty() ? "" : "<title>" + escape(tip) + "</title>");
}

struct Segment {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};
inline std::string segment(const Segment& s, const std::string& kind) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", kind, s.x1,
      s.y1, s.x2, s.y2);
}

// At most `limit` characters (not bytes), the last one an ellipsis where something is cut.
inline std::string shortened(const std::string& utf8, size_t limit) {
  size_t count = 0, cut = 0;
  for (size_t i = 0; i < utf8.size(); ++i) {
    if ((utf8[i] & 0xC0) == 0x80) continue;
    if (++count == limit) cut = i;
    if (count > limit) return utf8.substr(0, cut) + "…";
  }
  return utf8;
}

inline const char* const kEnd = "</svg>\n";

}  // namespace kd::svg
