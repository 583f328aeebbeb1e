#include "skipattn/io/json_file.h"

#include <gmock/gmock.h>

#include "skipattn/io/test_folder.h"

namespace skipattn::io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(JsonFile, RoundTrips) {
  const TestFolder folder;
  const nlohmann::json value = {{"a", 1}, {"b", {1.5, "é", nullptr}}};
  write_json_file(folder / "a.json", value);
  EXPECT_EQ(read_json_file(folder / "a.json"), value);
}

TEST(JsonFile, ErrorsNameThePathTheLineAndTheColumn) {
  const TestFolder folder;
  const auto path = folder.write("a.json", "{\n  \"a\": 1,\n  \"b\": oops\n}\n");
  EXPECT_THAT(error_of<InputError>([&] { read_json_file(path); }),
              AllOf(HasSubstr(path.string()), HasSubstr("line 3, column 8")));
  EXPECT_THAT(error_of<InputError>([&] { read_json_file(folder.write("b.json", "{\"a\": [1, 2")); }),
              AllOf(HasSubstr("line 1"), HasSubstr("unexpected end of input")));
  EXPECT_THAT(error_of<InputError>([&] { read_json_file(folder.write("c.json", "")); }), HasSubstr("line 1, column 1"));
  EXPECT_THAT(error_of<InputError>([&] { read_json_file(folder / "absent"); }), HasSubstr("absent"));
}

TEST(JsonFile, ValuesOfTheWrongKindAreNamed) {
  const nlohmann::json value = {{"n", 3},      {"x", 2.5},       {"s", "t"}, {"big", 5000000000},
                                {"minus", -1}, {"none", nullptr}};
  EXPECT_EQ(json_get<int>(value, "n", "f"), 3);
  EXPECT_EQ(json_get<double>(value, "n", "f"), 3.0);
  EXPECT_EQ(json_get<int64_t>(value, "big", "f"), 5000000000);
  EXPECT_EQ(json_get_or<int>(value, "absent", "f", 7), 7);
  EXPECT_EQ(json_get_or<int>(value, "none", "f", 7), 7);
  EXPECT_THAT(error_of<InputError>([&] { json_get<int>(value, "x", "f.json"); }),
              AllOf(HasSubstr("f.json"), HasSubstr("\"x\" must be a whole number, it is 2.5")));
  EXPECT_THROW(json_get<int>(value, "big", "f"), InputError);
  EXPECT_THROW(json_get<uint32_t>(value, "minus", "f"), InputError);
  EXPECT_THROW(json_get<std::string>(value, "n", "f"), InputError);
  EXPECT_THROW(json_get<bool>(value, "n", "f"), InputError);
  EXPECT_THAT(error_of<InputError>([&] { json_get<int>(value, "absent", "f"); }), HasSubstr("has no \"absent\""));
  EXPECT_THAT(error_of<InputError>([&] { json_get<int>(nlohmann::json::array(), "a", "f"); }),
              HasSubstr("it holds an array"));
}

}  // namespace
}  // namespace skipattn::io
