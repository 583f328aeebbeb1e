#include "skipattn/data/document_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "skipattn/core/errors.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::data {
namespace {

using io::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> documents_of(DocumentReader& reader) {
  std::vector<std::string> documents;
  for (DocumentPiece piece; reader.next(piece);) {
    if (piece.begins) documents.emplace_back();
    documents.back() += piece.text;
  }
  return documents;
}

std::vector<std::string> documents_of(const std::vector<std::string>& inputs,
                                      const DocumentReaderOptions& options = {}) {
  DocumentReader reader(inputs, options);
  return documents_of(reader);
}

void write_gzip(const std::filesystem::path& path, const std::string& text) {
  gzFile file = ::gzopen(path.c_str(), "wb");
  ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  ::gzclose(file);
}

// What documents_of({"-"}) gives when `text` is the standard input.
std::vector<std::string> documents_of_standard_input(const io::TestFolder& folder, const std::string& text) {
  const auto path = folder.write("stdin", text);
  const int saved = ::dup(STDIN_FILENO), file = ::open(path.c_str(), O_RDONLY);
  ::dup2(file, STDIN_FILENO);
  auto documents = documents_of({"-"});
  ::dup2(saved, STDIN_FILENO);
  ::close(saved);
  ::close(file);
  return documents;
}

TEST(DocumentReader, ATextFileIsADocumentByteForByte) {
  const io::TestFolder folder;
  const std::string text = "\xef\xbb\xbfline\r\nline\n\n\xff broken \xe2\x82";
  EXPECT_THAT(documents_of({folder.write("a.txt", text).string()}), ElementsAre(text));
}

TEST(DocumentReader, JsonLinesEndAtNewlineOnly) {
  const io::TestFolder folder;
  const auto path = folder.write("a.jsonl",
                                 "{\"text\": \"one\xe2\x80\xa8two\\nthree\", \"id\": 1}\r\n"
                                 "\n"
                                 "{\"text\": \"\"}\n"
                                 "{\"id\": [1, {\"text\": 5}], \"text\": \"four\xc2\x85\x66ive\"}");
  EXPECT_THAT(documents_of({path.string()}), ElementsAre("one\xe2\x80\xa8two\nthree", "four\xc2\x85\x66ive"));
}

TEST(DocumentReader, LinesMayBeLongerThanWhatIsReadAtATime) {
  const io::TestFolder folder;
  const std::string longest(5'000'000, 'x');
  std::string text;
  for (int i = 0; i < 5; ++i) text += "{\"text\": \"" + longest + std::to_string(i) + "\"}\n{\"text\": \"short\"}\n";
  const auto documents = documents_of({folder.write("a.ndjson", text).string()});
  ASSERT_EQ(documents.size(), 10u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(documents[2 * i], longest + std::to_string(i));
    EXPECT_EQ(documents[2 * i + 1], "short");
  }
  DocumentReaderOptions options;
  options.max_line_bytes = 1 << 20;
  EXPECT_THAT(error_of<InputError>([&] { documents_of({(folder / "a.ndjson").string()}, options); }),
              HasSubstr("line 1' is longer than"));
}

TEST(DocumentReader, ALineMayEndWhereTheNextReadBegins) {
  const io::TestFolder folder;
  for (const size_t length : {(1u << 20) - 1, 1u << 20, (1u << 20) + 1, 1u << 21}) {  // without its newline
    const std::string text(length - 12, 'x');
    const auto path = folder.write("a.jsonl", "{\"text\": \"" + text + "\"}\n{\"text\": \"next\"}\n");
    EXPECT_EQ(documents_of({path.string()}), (std::vector<std::string>{text, "next"})) << length;
  }
}

TEST(DocumentReader, WrongLinesAreNamed) {
  const io::TestFolder folder;
  const auto message = [&](const std::string& line) {
    const auto path = folder.write("a.jsonl", "{\"text\": \"good\"}\n\n" + line + "\n");
    return error_of<InputError>([&] { documents_of({path.string()}); });
  };
  EXPECT_THAT(message("{\"text\": oops}"), AllOf(HasSubstr("a.jsonl, line 3"), HasSubstr("not valid JSON")));
  EXPECT_THAT(message("{\"text\": \"cut"), HasSubstr("a.jsonl, line 3"));
  EXPECT_THAT(message("{\"body\": \"x\"}"),
              AllOf(HasSubstr("line 3' has no \"text\""), HasSubstr("begins with \"body\"")));
  EXPECT_THAT(message("{\"text\": 5}"), HasSubstr("must be a string, it is a number"));
  EXPECT_THAT(message("[1]"), HasSubstr("line 3' has no \"text\""));
  DocumentReaderOptions options;
  options.text_key = "body";
  EXPECT_THAT(documents_of({folder.write("b.jsonl", "{\"body\": \"x\"}").string()}, options), ElementsAre("x"));
}

TEST(DocumentReader, FoldersAreReadInNameOrderWithoutWhatIsNotText) {
  const io::TestFolder folder;
  folder.write("corpus/b.txt", "b");
  folder.write("corpus/a/z.py", "z");
  folder.write("corpus/a/y.txt", "y");
  folder.write("corpus/c.bin", std::string("ELF\0\1\2", 6));
  folder.write("corpus/.hidden/x.txt", "hidden");
  folder.write("corpus/.hidden.txt", "hidden");
  folder.write("corpus/d.jsonl", "{\"text\": \"1\"}\n{\"text\": \"2\"}\n");
  folder.write("corpus/empty.txt", "");
  write_gzip(folder / "corpus/e.txt.gz", "e");
  write_gzip(folder / "corpus/f.jsonl.gz", "{\"text\": \"f\"}");
  const std::string corpus = (folder / "corpus").string();
  DocumentReader reader({corpus});
  EXPECT_THAT(documents_of(reader), ElementsAre("y", "z", "b", "1", "2", "e", "f"));
  EXPECT_EQ(reader.files(), 7u);
  EXPECT_EQ(reader.file_bytes_read(), reader.file_bytes_total());
  DocumentReaderOptions options;
  options.include = {"*.py", "b.*"};
  EXPECT_THAT(documents_of({corpus}, options), ElementsAre("z", "b"));
}

TEST(DocumentReader, WrongInputsAreNamedAllAtOnce) {
  const io::TestFolder folder;
  std::filesystem::create_directories(folder / "bare");
  EXPECT_THAT(error_of<InputError>([&] {
                DocumentReader({(folder / "none.txt").string(), (folder / "bare").string(), "-", "-"});
              }),
              AllOf(HasSubstr("none.txt"), HasSubstr("bare' holds no file"), HasSubstr("only once")));
  const auto binary = folder.write("named.bin", std::string("a\0b", 3));
  EXPECT_THAT(error_of<InputError>([&] { documents_of({binary.string()}); }), HasSubstr("holds NUL bytes"));
  write_gzip(folder / "cut.txt.gz", std::string(100000, 'a') + "b");
  std::filesystem::resize_file(folder / "cut.txt.gz", 60);
  EXPECT_THAT(error_of<InputError>([&] { documents_of({(folder / "cut.txt.gz").string()}); }),
              HasSubstr("is cut short"));
}

TEST(DocumentReader, StandardInputIsJsonLinesWhenItLooksLikeThem) {
  const io::TestFolder folder;
  EXPECT_THAT(documents_of_standard_input(folder, "{\"text\": \"a\"}\n{\"text\": \"b\"}\n"), ElementsAre("a", "b"));
  EXPECT_THAT(documents_of_standard_input(folder, "just\ntext\n"), ElementsAre("just\ntext\n"));
  EXPECT_THAT(documents_of_standard_input(folder, "{ a set }\n"), ElementsAre("{ a set }\n"));
  EXPECT_THAT(documents_of_standard_input(folder, ""), ElementsAre());
  const std::string longest(300'000, 'x');
  EXPECT_THAT(documents_of_standard_input(folder, "{\"text\": \"" + longest + "\"}\n"), ElementsAre(longest));
}

TEST(DocumentReader, LongTextsComeInPiecesThatTokenizeTheSame) {
  const io::TestFolder folder;
  std::string text;
  while (text.size() < 900'000)
    text += "It's a line,  with\tspaces\xe2\x80\xaf\n\n  and 123 \xe4\xb8\xad\xe6\x96\x87 more.\n";
  DocumentReaderOptions options;
  options.piece_bytes = 100'000;
  DocumentReader reader({folder.write("a.txt", text).string(), folder.write("b.txt", "second").string()}, options);
  std::vector<std::string> pretokens, expected;
  std::string joined;
  const auto scan = [](const std::string& piece, std::vector<std::string>& out) {
    tokenizer::PretokenScanner scanner(piece);
    for (std::string_view pretoken; scanner.next(pretoken);) out.emplace_back(pretoken);
  };
  DocumentPiece piece;
  int pieces = 0;
  do {
    ASSERT_TRUE(reader.next(piece));
    EXPECT_EQ(piece.begins, pieces == 0);
    EXPECT_LT(piece.text.size(), 250'000u);
    joined += piece.text;
    scan(piece.text, pretokens);
    ++pieces;
  } while (!piece.ends);
  EXPECT_GE(pieces, 5);
  EXPECT_EQ(joined, text);
  scan(text, expected);
  EXPECT_EQ(pretokens, expected);
  ASSERT_TRUE(reader.next(piece));
  EXPECT_TRUE(piece.begins && piece.ends && piece.text == "second");
  EXPECT_FALSE(reader.next(piece));
}

TEST(DocumentReader, ATextWithoutAnyPlaceToCutIsCutBetweenCharacters) {
  const io::TestFolder folder;
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "\xe4\xb8\xad";
  DocumentReaderOptions options;
  options.piece_bytes = options.max_piece_bytes = 100'000;
  DocumentReader reader({folder.write("a.txt", text).string()}, options);
  std::string joined;
  for (DocumentPiece piece; reader.next(piece);) {
    EXPECT_EQ(piece.text.size() % 3, 0u);
    EXPECT_LE(piece.text.size(), 170'000u);
    joined += piece.text;
  }
  EXPECT_EQ(joined, text);
}

// 40 MB of text in one file, and 20 MiB that the process may take for reading it.
TEST(DocumentReader, MemoryDoesNotGrowWithTheInput) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take address space of their own";
#endif
  const io::TestFolder folder;
  std::string block;
  while (block.size() < 1'000'000) block += "{\"text\": \"some words of a line\"}\n";
  gzFile file = ::gzopen((folder / "a.jsonl.gz").c_str(), "wb1");
  for (int i = 0; i < 40; ++i) ::gzwrite(file, block.data(), static_cast<unsigned>(block.size()));
  ::gzclose(file);
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream status("/proc/self/statm");
    uint64_t pages = 0;
    status >> pages;
    const rlimit limit{pages * 4096 + (20 << 20), pages * 4096 + (20 << 20)};
    ::setrlimit(RLIMIT_AS, &limit);
    uint64_t count = 0;
    DocumentReader reader({(folder / "a.jsonl.gz").string()});
    for (DocumentPiece piece; reader.next(piece);) ++count;
    ::_exit(count > 1'000'000 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace skipattn::data
