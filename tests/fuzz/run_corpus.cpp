// Runs a fuzz target over the corpus without a fuzzer, so that every compiler's ctest does: the golden messages, and
// of each file given both the whole stream and every frame in it. `--write FOLDER` leaves the same inputs as files,
// the seeds for a real fuzzer.
#include "tests/golden/messages_v4.hpp"
#include "tests/golden/messages_v6.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using leasemirror::Bytes;
namespace golden = leasemirror::golden;

void add_stream(const std::filesystem::path& path, std::vector<Bytes>& out) {
    std::ifstream in(path, std::ios::binary);
    const Bytes stream(std::istreambuf_iterator<char>(in), {});
    out.push_back(stream);
    for (std::size_t at = 0; at + 2 <= stream.size();) {
        const std::size_t length = static_cast<std::size_t>(stream[at] << 8) | stream[at + 1];
        if (length > stream.size() - at - 2) return;
        const auto start = stream.begin() + static_cast<std::ptrdiff_t>(at) + 2;
        out.emplace_back(start, start + static_cast<std::ptrdiff_t>(length));
        at += 2 + length;
    }
}

void write_inputs(const std::filesystem::path& folder, const std::vector<Bytes>& inputs) {
    std::filesystem::create_directories(folder);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        std::ofstream out(folder / ("seed-" + std::to_string(i)), std::ios::binary);
        out.write(reinterpret_cast<const char*>(inputs[i].data()), static_cast<std::streamsize>(inputs[i].size()));
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::filesystem::path write_to;
    std::vector<Bytes> inputs;
    for (const auto& message : golden::messages_v4)
        inputs.push_back(message.bytes());
    for (const auto& message : golden::messages_v6)
        inputs.push_back(message.bytes());
    for (int i = 1; i < argc; ++i) {
        if (std::string(argv[i]) == "--write" && i + 1 < argc) {
            write_to = argv[++i];
            continue;
        }
        for (const auto& file : std::filesystem::directory_iterator(argv[i]))
            if (file.path().extension() == ".bin") add_stream(file.path(), inputs);
    }
    if (!write_to.empty()) write_inputs(write_to, inputs);
    for (const auto& input : inputs)
        LLVMFuzzerTestOneInput(input.data(), input.size());
    std::printf("%zu inputs\n", inputs.size());
    return inputs.size() > 16 ? 0 : 1;  // only the golden messages: the folder was not found
}
