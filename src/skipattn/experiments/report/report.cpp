#include "skipattn/experiments/report/report.h"

#include <fmt/format.h>

#include "skipattn/experiments/report/assets.h"
#include "skipattn/experiments/report/html.h"
#include "skipattn/experiments/report/sections.h"

namespace skipattn::experiments {

namespace {

using html::escape;

std::string head(const ReportData& data) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>{}</style></head>\n",
      escape(data.title), report_style());
}

std::string page_header(const ReportData& data) {
  std::string out =
      fmt::format("<header><div><p class=\"over\">{}</p><h1>{}</h1>", escape(data.maker), escape(data.title));
  const size_t seeds = baseline_of(data).runs.size();
  out += fmt::format("<p class=\"soft\">{} variant{} against {}, {} seed{} each{}</p>", data.variants.size() - 1,
                     data.variants.size() == 2 ? "" : "s", escape(baseline_of(data).name), seeds, seeds == 1 ? "" : "s",
                     data.created.empty() ? "" : " · " + escape(data.created));
  return out + "</div><button id=\"theme\" type=\"button\" hidden>Dark</button></header>\n";
}

}  // namespace

std::string render_report(const ReportData& data) {
  std::string page = head(data) + "<body>\n" + page_header(data) + "<main>\n";
  if (!data.notice.empty()) page += fmt::format("<p class=\"notice\">{}</p>\n", escape(data.notice));
  page += sections::verdicts(data);
  page += sections::numbers(data);
  page += sections::curves(data);
  page += sections::positions(data);
  page += sections::routings(data);
  page += sections::method(data);
  page += fmt::format(
      "<footer>Made by skipattn{}. The unit of every interval is the seed; docs/statistics.md of "
      "the "
      "project says how they are made.</footer></main>\n<div id=\"tip\" role=\"tooltip\" "
      "hidden></div>\n<script>{}</script></body></html>\n",
#ifdef SKIPATTN_VERSION
      " " SKIPATTN_VERSION,
#else
      "",
#endif
      report_script());
  return page;
}

}  // namespace skipattn::experiments
