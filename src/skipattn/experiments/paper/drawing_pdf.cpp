// A drawing as a PDF file (ISO 32000-1): one page, one stream of operators packed with zlib, Helvetica by name.
#include <fmt/format.h>
#include <zlib.h>

#include <array>
#include <cstdint>

#include "skipattn/core/errors.h"
#include "skipattn/experiments/paper/drawing.h"

namespace skipattn::experiments {

namespace {

/// Code points of the bytes 0x80 to 0x9f in Windows code page 1252; 0 where there is none.
constexpr std::array<uint32_t, 32> kCodePage = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021,
                                                0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017D, 0,
                                                0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014,
                                                0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

char byte_of(uint32_t code) {
  if (code == 0x2212) return kPdfMinus;
  if ((code >= 0x20 && code < 0x7F) || (code >= 0xA0 && code <= 0xFF)) return static_cast<char>(code);
  for (size_t i = 0; i < kCodePage.size(); ++i)
    if (kCodePage[i] == code && code != 0) return static_cast<char>(0x80 + i);
  return '?';
}

/// The code point at `at`, which moves behind it; a byte that starts none is U+FFFD.
uint32_t next_code(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : 0;
  uint32_t code = lead & (0x3FU >> more);
  for (int i = 0; i < more; ++i) {
    if (at >= text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80) return 0xFFFD;
    code = code << 6 | (static_cast<unsigned char>(text[at++]) & 0x3FU);
  }
  return more == 0 ? 0xFFFD : code;
}

std::string literal(std::string_view text) {
  std::string out = "(";
  for (const char c : to_pdf_bytes(text)) {
    if (c == '(' || c == ')' || c == '\\') out += '\\';
    out += c;
  }
  return out + ")";
}

/// "0.5 0 1 rg": a colour and the operator that sets it.
std::string colour(const std::string& rgb, const char* set) {
  const auto part = [&](size_t i) { return std::stoi(rgb.substr(i, 2), nullptr, 16) / 255.0; };
  return fmt::format("{:.3f} {:.3f} {:.3f} {}\n", part(1), part(3), part(5), set);
}

std::string draw(const Path& path, double height) {
  const PathStyle& style = path.style;
  std::string out = "q\n";
  if (style.clip)
    out += fmt::format("{:.2f} {:.2f} {:.2f} {:.2f} re W n\n", style.clip->left, height - style.clip->bottom,
                       style.clip->right - style.clip->left, style.clip->bottom - style.clip->top);
  if (!style.fill.empty()) out += colour(style.fill, "rg");
  if (!style.stroke.empty()) out += colour(style.stroke, "RG") + fmt::format("{:.2f} w 1 j\n", style.width);
  if (!style.dash.empty()) {
    out += "[";
    for (const double length : style.dash) out += fmt::format("{:.2f} ", length);
    out += "] 0 d\n";
  }
  for (size_t i = 0; i < path.points.size(); ++i)
    out += fmt::format("{:.2f} {:.2f} {}\n", path.points[i].x, height - path.points[i].y, i == 0 ? "m" : "l");
  if (path.closed) out += "h\n";
  const bool fills = !style.fill.empty(), strokes = !style.stroke.empty();
  return out + (fills && strokes ? "B" : fills ? "f" : strokes ? "S" : "n") + "\nQ\n";
}

std::string draw(const Label& label, double height) {
  const TextStyle& style = label.style;
  const double width = text_width(label.text, style);
  const double back = style.anchor == Anchor::kStart ? 0 : style.anchor == Anchor::kMiddle ? width / 2 : width;
  const double x = label.at.x - (style.upward ? 0 : back);
  const double y = height - label.at.y - (style.upward ? back : 0);
  return fmt::format("BT\n{}/{} {:.2f} Tf\n{} {:.2f} {:.2f} Tm\n{} Tj\nET\n", colour(style.colour, "rg"),
                     style.bold ? "F2" : "F1", style.size, style.upward ? "0 1 -1 0" : "1 0 0 1", x, y,
                     literal(label.text));
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()),
                bytes.size(), Z_BEST_COMPRESSION) != Z_OK)
    throw RunError("a figure's PDF cannot be packed: out of memory");
  packed.resize(size);
  return packed;
}

std::string font(const char* name) {
  return fmt::format(
      "<< /Type /Font /Subtype /Type1 /BaseFont /{} /Encoding << /Type /Encoding /BaseEncoding /WinAnsiEncoding "
      "/Differences [ 129 /minus ] >> >>",
      name);
}

}  // namespace

std::string to_pdf_bytes(std::string_view utf8) {
  std::string bytes;
  for (size_t at = 0; at < utf8.size();) bytes += byte_of(next_code(utf8, at));
  return bytes;
}

std::string to_pdf(const Drawing& drawing) {
  std::string content;
  for (const auto& shape : drawing.shapes)
    content += std::visit([&](const auto& item) { return draw(item, drawing.height); }, shape);
  const std::string packed = deflated(content);
  const std::vector<std::string> objects = {
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>",
      fmt::format("<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 {:.2f} {:.2f} ] /Contents 4 0 R /Resources << /Font << "
                  "/F1 5 0 R /F2 6 0 R >> >> >>",
                  drawing.width, drawing.height),
      fmt::format("<< /Length {} /Filter /FlateDecode >>\nstream\n{}\nendstream", packed.size(), packed),
      font("Helvetica"),
      font("Helvetica-Bold"),
      fmt::format("<< /Title {} /Producer (skipattn) >>", literal(drawing.title)),
  };
  std::string file = "%PDF-1.4\n%\xE2\xE3\xCF\xD3\n";
  std::string table = fmt::format("xref\n0 {}\n0000000000 65535 f \n", objects.size() + 1);
  for (size_t i = 0; i < objects.size(); ++i) {
    table += fmt::format("{:010} 00000 n \n", file.size());
    file += fmt::format("{} 0 obj\n{}\nendobj\n", i + 1, objects[i]);
  }
  const size_t start = file.size();
  return file + table +
         fmt::format("trailer\n<< /Size {} /Root 1 0 R /Info 7 0 R >>\nstartxref\n{}\n%%EOF\n", objects.size() + 1,
                     start);
}

}  // namespace skipattn::experiments
