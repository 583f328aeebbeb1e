#include "skipattn/tokenizer/byte_alphabet.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace skipattn::tokenizer {
namespace {

bool prints_as_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/// [byte] -> code point.
const std::array<uint16_t, 256>& code_points() {
  static const auto table = [] {
    std::array<uint16_t, 256> result{};
    uint16_t next = 256;
    for (int byte = 0; byte < 256; ++byte) result[byte] = prints_as_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    return result;
  }();
  return table;
}

/// [code point] -> byte, or -1; every code point of the alphabet is below 512.
const std::array<int16_t, 512>& bytes_by_code_point() {
  static const auto table = [] {
    std::array<int16_t, 512> result;
    result.fill(-1);
    for (int byte = 0; byte < 256; ++byte) result[code_points()[byte]] = static_cast<int16_t>(byte);
    return result;
  }();
  return table;
}

}  // namespace

std::string printable_of_bytes(std::string_view bytes) {
  std::string printable;
  printable.reserve(bytes.size() * 2);
  for (const char byte : bytes) {
    const uint16_t code_point = code_points()[static_cast<unsigned char>(byte)];
    if (code_point < 0x80) {
      printable += static_cast<char>(code_point);
    } else {
      printable += static_cast<char>(0xC0 | code_point >> 6);
      printable += static_cast<char>(0x80 | (code_point & 0x3F));
    }
  }
  return printable;
}

std::optional<std::string> bytes_of_printable(std::string_view printable) {
  std::string bytes;
  bytes.reserve(printable.size());
  for (std::size_t i = 0; i < printable.size(); ++i) {
    unsigned code_point = static_cast<unsigned char>(printable[i]);
    if (code_point >= 0x80) {  // the alphabet has no character of more than two bytes
      if (code_point < 0xC2 || code_point > 0xC7 || ++i == printable.size()) return std::nullopt;
      const auto second = static_cast<unsigned char>(printable[i]);
      if ((second & 0xC0) != 0x80) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (second & 0x3F);
    }
    const int16_t byte = bytes_by_code_point()[code_point];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

const std::string& bytes_in_alphabet_order() {
  static const std::string order = [] {
    std::string bytes;
    for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte);
    std::stable_sort(bytes.begin(), bytes.end(), [](char a, char b) {
      return code_points()[static_cast<unsigned char>(a)] < code_points()[static_cast<unsigned char>(b)];
    });
    return bytes;
  }();
  return order;
}

}  // namespace skipattn::tokenizer
