#include "skipattn/io/compressed_stream.h"

#include <gmock/gmock.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "skipattn/core/errors.h"
#include "skipattn/core/random.h"
#include "skipattn/io/mapped_file.h"
#include "skipattn/io/test_folder.h"

namespace skipattn::io {
namespace {

using testing::HasSubstr;

std::string sample(size_t bytes) {
  Random random(1);
  std::string text;
  while (text.size() < bytes) text += fmt::format("line {} of many\n", random.below(100000));
  text.resize(bytes);
  return text;
}

std::string gzip(const std::string& text) {
  z_stream state{};
  ::deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(::deflateBound(&state, text.size()), '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  ::deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  ::deflateEnd(&state);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* state = ::ZSTD_createCCtx();
  ::ZSTD_CCtx_setParameter(state, ZSTD_c_checksumFlag, 1);
  out.resize(::ZSTD_compress2(state, out.data(), out.size(), text.data(), text.size()));
  ::ZSTD_freeCCtx(state);
  return out;
}

std::string xz(const std::string& text) {
  std::string out(::lzma_stream_buffer_bound(text.size()), '\0');
  size_t size = 0;
  const auto status =
      ::lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()),
                                text.size(), reinterpret_cast<uint8_t*>(out.data()), &size, out.size());
  EXPECT_EQ(status, LZMA_OK);
  out.resize(size);
  return out;
}

struct Packer {
  const char* name;
  std::string (*pack)(const std::string&);
};

class AnyStream : public testing::TestWithParam<Packer> {};
class PackedStream : public testing::TestWithParam<Packer> {};

TEST_P(AnyStream, GivesTheBytesBackInPiecesOfAnySize) {
  const TestFolder folder;
  const std::string text = sample(1'000'003);
  const auto path = folder.write("misleading.txt", GetParam().pack(text));
  for (const size_t piece : {1000u, 65536u, 3000000u}) {
    const auto input = open_input(path);
    std::string got, buffer(piece, '\0');
    while (const size_t count = input->read(buffer)) got.append(buffer, 0, count);
    EXPECT_EQ(got, text);
    EXPECT_EQ(input->file_bytes(), std::filesystem::file_size(path));
  }
}

TEST_P(AnyStream, ReadsSeveralOneAfterAnother) {
  const TestFolder folder;
  const std::string first = sample(300'000), second = "tail";
  const auto path = folder.write("two", GetParam().pack(first) + GetParam().pack("") + GetParam().pack(second));
  EXPECT_EQ(read_file(path), first + second);
}

TEST_P(PackedStream, CutShortAnywhereIsAnError) {
  const TestFolder folder;
  const std::string packed = GetParam().pack(sample(100'000));
  for (const size_t keep : {size_t{7}, packed.size() / 2, packed.size() - 1}) {
    const auto path = folder.write("cut", packed.substr(0, keep));
    EXPECT_THAT(error_of<InputError>([&] { read_file(path); }),
                testing::AllOf(HasSubstr(path.string()), HasSubstr("is cut short"), HasSubstr(GetParam().name)));
  }
}

TEST_P(PackedStream, DamageIsAnError) {
  const TestFolder folder;
  std::string packed = GetParam().pack(sample(100'000));
  for (size_t i = packed.size() / 2; i < packed.size() / 2 + 20; ++i) packed[i] = static_cast<char>(~packed[i]);
  const auto path = folder.write("damaged", packed);
  EXPECT_THAT(error_of<InputError>([&] { read_file(path); }),
              testing::AllOf(HasSubstr(path.string()), HasSubstr("damaged"), HasSubstr(GetParam().name)));
}

TEST_P(AnyStream, AnEmptyTextIsEmpty) {
  const TestFolder folder;
  EXPECT_EQ(read_file(folder.write("empty", GetParam().pack(""))), "");
}

constexpr Packer kPlain{"plain", [](const std::string& text) { return text; }};
constexpr Packer kGzip{"gzip", gzip}, kZstd{"zstd", zstd}, kXz{"xz", xz};
const auto packer_name = [](const auto& packer) { return std::string(packer.param.name); };
INSTANTIATE_TEST_SUITE_P(Kinds, AnyStream, testing::Values(kPlain, kGzip, kZstd, kXz), packer_name);
INSTANTIATE_TEST_SUITE_P(Kinds, PackedStream, testing::Values(kGzip, kZstd, kXz), packer_name);

TEST(CompressedStream, GzipMayEndInZerosButNotInOtherThings) {
  const TestFolder folder;
  EXPECT_EQ(read_file(folder.write("padded", gzip("text") + std::string(1000, '\0'))), "text");
  EXPECT_THROW(read_file(folder.write("litter", gzip("text") + "litter that is no member")), InputError);
}

TEST(CompressedStream, ZstdMayBeginWithASkippableFrame) {
  const TestFolder folder;
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(read_file(folder.write("a", skippable + zstd("text"))), "text");
}

TEST(CompressedStream, WrongPathsAreInputErrors) {
  const TestFolder folder;
  EXPECT_THAT(error_of<InputError>([&] { open_input(folder / "absent"); }), HasSubstr("there is no file"));
  EXPECT_THAT(error_of<InputError>([&] { open_input(folder.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of<InputError>([&] { read_file(folder.write("big", "12345"), 4); }), HasSubstr("more than 4"));
  EXPECT_EQ(read_file(folder.write("just", "1234"), 4), "1234");
}

TEST(MappedFile, ShowsTheBytesAndMovesWithThem) {
  const TestFolder folder;
  MappedFile file(folder.write("a", "hello"));
  const auto* data = file.bytes().data();
  MappedFile moved = std::move(file);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(data), moved.bytes().size()), "hello");
  EXPECT_TRUE(MappedFile(folder.write("empty", "")).bytes().empty());
  EXPECT_THROW(MappedFile(folder / "absent"), InputError);
}

}  // namespace
}  // namespace skipattn::io
