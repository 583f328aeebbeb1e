#include "skipattn/experiments/paper/paper.h"

#include "skipattn/experiments/paper/figures.h"
#include "skipattn/experiments/sweep/table.h"
#include "skipattn/io/atomic_file.h"

namespace skipattn::experiments {

std::vector<std::string> write_paper_files(const SweepResults& results, const std::filesystem::path& folder) {
  std::vector<std::string> files;
  const auto write = [&](const std::filesystem::path& file, const std::string& text) {
    io::write_file_atomically(file, text);
    files.push_back(file.string());
  };
  write(folder / "results.csv", results_csv(results));
  write(folder / "comparisons.csv", comparisons_csv(results));
  write(folder / "table.tex", latex_table(results));
  std::filesystem::create_directories(folder / "figures");
  for (const PaperFigure& figure : paper_figures(results)) {
    write(folder / "figures" / (figure.name + ".svg"), to_svg(figure.drawing));
    write(folder / "figures" / (figure.name + ".pdf"), to_pdf(figure.drawing));
    write(folder / "figures" / (figure.name + ".csv"), figure.csv);
  }
  return files;
}

}  // namespace skipattn::experiments
